-- room: the members of a room, and its place in the order of the room's messages.
--
-- KEYS  1 head  2 room:<name> (hash)  3 room:<name> (channel)
-- ARGV  1 node  2 number of the mark to publish on the channel; "0": none
-- Returns "1 <epoch> <born> <seq> <users> <mine>\n", then per user "<len> <devices>\n<user>", then
--         per member of the node "<len>\n<id>"; born is 0 when there is no such room; "" when there
--         is no epoch.
local call = redis.call
local epoch = call('HGET', KEYS[1], 'epoch')
if not epoch then return '' end
local function decimal(n) return string.format('%d', n) end
local all, of, users, mine = call('HGETALL', KEYS[2]), {}, {}, {}
local node = ARGV[1] .. ' '
for i = 1, #all, 2 do
    local kind, name, value = string.sub(all[i], 1, 2), string.sub(all[i], 3), all[i + 1]
    if kind == 'u:' then
        users[#users + 1] = decimal(#name) .. ' ' .. value .. '\n' .. name
    elseif kind == 'm:' then
        if string.sub(value, 1, #node) == node then
            mine[#mine + 1] = decimal(#name) .. '\n' .. name
        end
    else
        of[all[i]] = value
    end
end
local place = '1 ' .. epoch .. ' ' .. (of['.born'] or '0') .. ' ' .. (of['.seq'] or '0') .. ' '
-- The list includes all messages before the mark, and none after it.
if ARGV[2] ~= '0' then call('PUBLISH', KEYS[3], place .. 'mark ' .. node .. ARGV[2]) end
return place .. decimal(#users) .. ' ' .. decimal(#mine) .. '\n' .. table.concat(users) ..
       table.concat(mine)
