-- read: a chunk of a snapshot: entries by id, with the epoch and revision of that moment.
--
-- It is joined from formats.lua, events.lua and this file.
--
-- KEYS  1 head  then client:<id> of each entry
-- ARGV  the ids, in the order of the keys; then optionally the maximum size of the reply in bytes:
--       no further entry is added once it is reached
-- Returns an event message with operations "entry" (docs/redis-keys.md); {the message, number of ids
--       that it covers} when the maximum was reached first; "" when there is no epoch.
local h = redis.call('HMGET', KEYS[1], 'epoch', 'revision', 'format')
if not h[1] then return '' end
local agreed = written_format(h[3])
local size, max_size = 0, tonumber(ARGV[#KEYS] or '') or math.huge
for i = 1, #KEYS - 1 do
    if size >= max_size then return {event_message(agreed, h[1], h[2] or '0'), i - 1} end
    local all = redis.call('HGETALL', KEYS[i + 1])
    if #all > 0 then
        local body, version = encode_hash(all, PRIVATE)
        append_event('entry', ARGV[i], version, body)
        size = size + #event_list[#event_list]
    end
end
return event_message(agreed, h[1], h[2] or '0')
