-- read: a chunk of the snapshot: entries by id, and the epoch and revision at which they stand.
--
-- KEYS  1 head  then client:<id> of each
-- ARGV  the ids, in the order of the keys
-- Returns an event message with op "entry" (docs/redis-keys.md), or "" when there is no epoch.
local h = redis.call('HMGET', KEYS[1], 'epoch', 'revision')
if not h[1] then return '' end
local out, count = {}, 0
for i = 1, #ARGV do
    local all = redis.call('HGETALL', KEYS[i + 1])
    if #all > 0 then
        local body, version = {}, ''
        for j = 1, #all, 2 do
            local field, value = all[j], all[j + 1]
            if field == 'version' then
                version = value
            elseif field ~= 'session' then
                body[#body + 1] = #field .. ' ' .. #value .. '\n' .. field .. value
            end
        end
        local text = table.concat(body)
        out[#out + 1] = 'entry ' .. #ARGV[i] .. ' ' .. #version .. ' ' .. #text .. '\n' .. ARGV[i] ..
                            version .. text
        count = count + 1
    end
end
return '1 ' .. h[1] .. ' ' .. (h[2] or '0') .. ' ' .. count .. '\n' .. table.concat(out)
