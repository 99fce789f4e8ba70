-- Remove an entry from where it came from, after it was added elsewhere in the same transaction.
--
-- KEYS  1 the stream to which it was just added, 2 the stream it came from
-- ARGV  the command that removes it, such as XACK or XDEL with its arguments
-- Returns what the command returns; if that is 0 the added entry is deleted again.
local added = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local taken = redis.call(unpack(ARGV))
if taken == 0 then redis.call('XDEL', KEYS[1], added[1][1]) end
return taken
