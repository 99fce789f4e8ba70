-- Delete a consumer if it holds no entry and was idle for long: looked at and deleted in one step, so
-- that a consumer that got entries meanwhile stays, with them.
--
-- KEYS  1 the stream
-- ARGV  1 group, 2 consumer, 3 milliseconds
-- Returns 1 if it was deleted, else 0.
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for at = 1, #row, 2 do facts[row[at]] = row[at + 1] end
  if facts.name == ARGV[2] and facts.pending == 0 and facts.idle >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
    return 1
  end
end
return 0
