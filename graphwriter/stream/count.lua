-- Count a page of entries without sending them.
--
-- KEYS  1 the stream
-- ARGV  1 first id, 2 last id, as XRANGE takes them
-- Returns {number of entries, at most 1000; the last one's id}.
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', 1000)
return {#found, found[#found] and found[#found][1]}
