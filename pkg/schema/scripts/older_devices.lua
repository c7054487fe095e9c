-- older_devices: a user's devices that are older than one of them, which is kept.
--
-- Of two that are opened at the same time the later one is kept, rather than each dropping the other.
-- Within one millisecond, that is the one listed later in the hash, which keeps the order of insertion
-- while it is small.
--
-- KEYS  1 user:<user>
-- ARGV  1 the user  2 the id of the device that is kept
-- Returns {front-end, id, front-end, id ...}; nothing when the device that is kept does not exist.
local call, user, kept = redis.call, ARGV[1], ARGV[2]
local entry = string.sub(KEYS[1], 1, -1 - #'user:' - #user) .. 'client:'
local kept_since = tonumber(call('HGET', entry .. kept, 'since') or 0)
local older, is_before = {}, true
for _, id in ipairs(call('HKEYS', KEYS[1])) do
    if id == kept then
        is_before = false
    elseif string.sub(id, 1, 1) ~= '.' then
        local k = call('HMGET', entry .. id, 'node', 'since')
        local since = tonumber(k[2] or 0)
        if k[1] and k[1] ~= '' and (since < kept_since or since == kept_since and is_before) then
            older[#older + 1] = k[1]
            older[#older + 1] = id
        end
    end
end
return older
