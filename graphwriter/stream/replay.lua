-- Move one dead letter back to the end of the stream, without its dead.* fields.
--
-- KEYS  1 the stream, 2 the stream of dead letters
-- ARGV  1 id of the dead letter
-- Returns 1, or 0 if it no longer exists (another replay took it), or the list of fields if they are
-- more than Lua's stack holds: then nothing is done.
local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
if not found[1] then return 0 end
local fields = {}
for i = 1, #found[1][2] - 12 do fields[i] = found[1][2][i] end
if #fields > 6000 then return fields end
redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('XDEL', KEYS[2], ARGV[1])
return 1
