#!lua flags=allow-oom
-- Count the entries that were trimmed or deleted before the group was given them, once.
--
-- KEYS  1 the stream
-- ARGV  1 group
-- Returns their number, and tells the group that it has read them (XGROUP SETID ENTRIESREAD), so that
-- nobody counts them again.
--
-- If Redis does not know what the group has read, as for a new group, nothing is lost yet. Entries
-- that were deleted one by one are counted only while fewer than a thousand are unread. Ids are
-- compared as text: Lua's numbers have 53 bits. allow-oom: a full Redis runs it too.
local function mapping(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end
local function is_after(one, other)
  local a, b, c, d = one:match('%d+'), one:match('%d+$'), other:match('%d+'), other:match('%d+$')
  if a == c then a, c = b, d end
  if #a ~= #c then return #a > #c end
  return a > c
end
local group
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, row in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local one = mapping(row)
  if one.name == ARGV[1] then group = one end
end
local stream = mapping(redis.call('XINFO', 'STREAM', KEYS[1]))
local added, first, unread = stream['entries-added'], stream['first-entry'], stream.length
if not group or not added then return 0 end
local at, read = group['last-delivered-id'], group['entries-read']
if first and not is_after(first[1], at) then
  if not is_after(stream['max-deleted-entry-id'], at) then return 0 end
  unread = #redis.call('XRANGE', KEYS[1], '(' .. at, '+', 'COUNT', 1000)
  if unread == 1000 then return 0 end
end
local missed = read and added - read - unread or 0
if missed > 0 or not read then
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], at, 'ENTRIESREAD', added - unread)
end
return math.max(missed, 0)
