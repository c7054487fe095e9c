-- shared: the settings that all front-ends of one Redis share. A front-end offers its own values. An
-- empty Redis stores them, and so does one that was restored to an older state; else the front-end
-- receives the stored ones.
--
-- It is joined from prelude.lua and this file.
--
-- KEYS  1 shared (hash)
-- ARGV  1 revision that the front-end runs with; 0 at its start  2 least revision afterwards: that in
--       a partition's head  3.. {key value} of each setting
-- Returns {revision, now, bound of leases, field, value, ...}. Fields that begin with a dot are the
--       script's own, and are not returned.
local all, fields = call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
local stored = tonumber(fields['.revision'] or 0) or 0
local mine, least = tonumber(ARGV[1]), tonumber(ARGV[2])

-- Other values with the same revision: Redis lost the settings, and a front-end that started since
-- then has stored its own.
local restores = mine > stored
for i = 3, #ARGV, 2 do
    restores = restores or (mine > 0 and mine == stored and fields[ARGV[i]] ~= ARGV[i + 1])
end
local changed = false
for i = 3, #ARGV, 2 do
    local name, value = ARGV[i], ARGV[i + 1]
    if not fields[name] or (restores and fields[name] ~= value) then
        call('HSET', KEYS[1], name, value)
        fields[name], changed = value, true
    end
end
if changed or restores or stored < least then
    stored = math.max(changed and math.max(stored, mine) + 1 or mine, stored, least)
    fields['.revision'] = integer(stored)
    call('HSET', KEYS[1], '.revision', fields['.revision'])
end

local result = {integer(stored), integer(now), fields['.lease'] or ''}
for name, value in pairs(fields) do
    if string.sub(name, 1, 1) ~= '.' then
        result[#result + 1] = name
        result[#result + 1] = value
    end
end
return result
