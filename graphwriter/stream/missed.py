"""Entries that went from the stream before their group was given them: lost, and counted."""

from __future__ import annotations

# KEYS stream; ARGV group. Returns how many went. The group is then told that it has read them, so
# that nobody counts them again. Where Redis does not know what the group has read, as of one that
# is new, nothing was lost yet. Entries that were deleted singly are counted only where less than a
# thousand are unread. Ids are compared as text: Lua's numbers have 53 bits. A Redis that is full
# runs it too.
SCRIPT = """#!lua flags=allow-oom
local function told(list)
  local found = {}
  for i = 1, #list, 2 do found[list[i]] = list[i + 1] end
  return found
end
local function beyond(one, other)
  local a, b, c, d = one:match('%d+'), one:match('%d+$'), other:match('%d+'), other:match('%d+$')
  if a == c then a, c = b, d end
  if #a ~= #c then return #a > #c end
  return a > c
end
local group
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, row in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local one = told(row)
  if one.name == ARGV[1] then group = one end
end
local stream = told(redis.call('XINFO', 'STREAM', KEYS[1]))
local added, first, unread = stream['entries-added'], stream['first-entry'], stream.length
if not group or not added then return 0 end
local at, read = group['last-delivered-id'], group['entries-read']
if first and not beyond(first[1], at) then
  if not beyond(stream['max-deleted-entry-id'], at) then return 0 end
  unread = #redis.call('XRANGE', KEYS[1], '(' .. at, '+', 'COUNT', 1000)
  if unread == 1000 then return 0 end
end
local missed = read and added - read - unread or 0
if missed > 0 or not read then
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], at, 'ENTRIESREAD', added - unread)
end
return math.max(missed, 0)
"""
