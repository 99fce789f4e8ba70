-- Delete consumers that hold no entry and were idle for long: looked at and deleted in one step, so
-- that a consumer that got entries meanwhile stays, with them.
--
-- KEYS  1 the stream
-- ARGV  1 group, 2 milliseconds, 3 how many at most, so that the server is not kept busy
-- Returns the names of the deleted consumers.
local names = {}
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for at = 1, #row, 2 do facts[row[at]] = row[at + 1] end
  if facts.pending == 0 and facts.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts.name)
    names[#names + 1] = facts.name
    if #names >= tonumber(ARGV[3]) then break end
  end
end
return names
