-- read: a chunk of the snapshot: entries by id, and the epoch and revision at which they stand.
--
-- KEYS  1 head  then client:<id> of each
-- ARGV  the ids, in the order of the keys; then, if there is one more, the most bytes of a reply:
--       no entry is begun when there are as many
-- Returns an event message with op "entry" (docs/redis-keys.md), or "" when there is no epoch; or
--       {the message, how many of the ids it is of}, when there were too many bytes for all.
local h = redis.call('HMGET', KEYS[1], 'epoch', 'revision')
if not h[1] then return '' end
-- Lengths as text: Lua's own conversion goes through printf each time.
local text = setmetatable({}, {__index = function(t, n)
    t[n] = string.format('%d', n)
    return t[n]
end})
local out, count, size, most = {}, 0, 0, tonumber(ARGV[#KEYS] or '') or math.huge
local function message()
    return '1 ' .. h[1] .. ' ' .. (h[2] or '0') .. ' ' .. count .. '\n' .. table.concat(out)
end
for i = 1, #KEYS - 1 do
    if size >= most then return {message(), i - 1} end
    local all = redis.call('HGETALL', KEYS[i + 1])
    if #all > 0 then
        local body, version, n = {}, '', 0
        for j = 1, #all, 2 do
            local field, value = all[j], all[j + 1]
            if field == 'version' then
                version = value
            elseif field ~= 'session' and field ~= 'resume' and field ~= 'probe'
                   and field ~= 'certificate' then
                n = n + 1
                body[n] = text[#field] .. ' ' .. text[#value] .. '\n' .. field .. value
            end
        end
        local id, fields = ARGV[i], table.concat(body)
        count = count + 1
        out[count] = 'entry ' .. text[#id] .. ' ' .. text[#version] .. ' ' .. text[#fields] .. '\n' ..
                     id .. version .. fields
        size = size + #out[count]
    end
end
return message()
