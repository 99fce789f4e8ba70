-- Add a dead letter and acknowledge its entry: both or neither.
--
-- KEYS  1 the stream, 2 the stream of dead letters
-- ARGV  1 group, 2 entry id, 3 reason, 4 error, 5 consumer, 6 time, 7... the fields as read
-- Returns 1, or 0 if the entry is not pending, or the list of fields if they are more than Lua's
-- stack holds (8000): then nothing is done.
--
-- XADD comes before XACK, since a script that fails half-way is not rolled back. The fields are read
-- from the stream if they are still there: a client's mapping has each name only once.
local waiting = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if not waiting[1] then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
local fields = found[1] and found[1][2] or {}
if #fields == 0 then for i = 7, #ARGV do fields[#fields + 1] = ARGV[i] end end
for _, pair in ipairs({{'reason', ARGV[3]}, {'error', ARGV[4]}, {'source_id', ARGV[2]},
    {'deliveries', tostring(waiting[1][4])}, {'consumer', ARGV[5]}, {'time', ARGV[6]}}) do
  fields[#fields + 1] = 'dead.' .. pair[1]
  fields[#fields + 1] = pair[2]
end
if #fields > 6000 then return fields end
redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return 1
