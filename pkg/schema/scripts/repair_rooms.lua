-- repair_rooms: a part of repair (repair.lua): rooms, and the index of their members.
local function listing_of(node) return prefix .. 'members:' .. node end

-- A room as its hash has it: members by id, the fields of users, and the rest.
local function read_room(name, all)
    local r = {name = name, members = {}, users = {}, of = {}, count = 0, devices = {}}
    for i = 1, #all, 2 do
        local kind, field, value = string.sub(all[i], 1, 2), string.sub(all[i], 3), all[i + 1]
        if kind == 'm:' then
            local node, said, user = string.match(value, '^(%S+) (%d+) (.+)$')
            r.members[field] = {node = node, said = said, user = user}
        elseif kind == 'u:' then
            r.users[field] = value
        else
            r.of[all[i]] = value
        end
    end
    return r
end
local function count_members(r)
    for _, m in pairs(r.members) do
        if m.user then
            r.count = r.count + 1
            r.devices[m.user] = (r.devices[m.user] or 0) + 1
        end
    end
end
local function is_number(text) return text and string.find(text, '^[1-9]%d*$') end

local function is_counted(r)
    if r.count == 0 or r.of['.members'] ~= integer(r.count) or not is_number(r.of['.born']) or
        not is_number(r.of['.seq']) then
        return false
    end
    for user, n in pairs(r.devices) do
        if r.users[user] ~= integer(n) then return false end
    end
    for user in pairs(r.users) do
        if not r.devices[user] then return false end
    end
    return true
end

-- What is counted is written anew. A number that is told to nobody makes every front-end read again.
local function write_room(r, key)
    if r.count == 0 then
        call('DEL', key)
        return
    end
    for user in pairs(r.users) do
        if not r.devices[user] then call('HDEL', key, 'u:' .. user) end
    end
    for user, n in pairs(r.devices) do call('HSET', key, 'u:' .. user, integer(n)) end
    call('HSET', key, '.members', integer(r.count), '.born', r.born, '.seq', integer(r.seq + 1))
end

local function remove(r, key, id, m)
    call('HDEL', key, 'm:' .. id)
    r.members[id] = nil
    if not m.user then return end
    call('HDEL', listing_of(m.node), id .. ' ' .. r.name)
    r.count, r.devices[m.user] = r.count - 1, r.devices[m.user] - 1
    r.seq = r.seq + 1
    call('PUBLISH', channels .. 'room:' .. r.name, '1 ' .. epoch .. ' ' .. r.born .. ' ' .. integer(r.seq) .. ' leave ' .. id .. ' ' ..
         integer(r.devices[m.user]) .. ' ' .. m.user)
    if r.devices[m.user] == 0 then r.devices[m.user] = nil end
end

local function judge_members(r, find)
    local gone = {}
    for id, m in pairs(r.members) do
        if not m.user then
            find('member')
            gone[id] = m
        elseif not is_alive(m.node) then
            find('member-abandoned', m.node)
            gone[id] = m
        elseif redis.pcall('HEXISTS', listing_of(m.node), id .. ' ' .. r.name) ~= 1 then
            find('member-unlisted', m.node)
            if mend then call('HSET', listing_of(m.node), id .. ' ' .. r.name, m.user) end
        end
    end
    return gone
end

local function judge_room(name, key, find)
    local all = redis.pcall('HGETALL', key)
    if all.err then
        find('room-type')
        if mend then call('DEL', key) end
    end
    if all.err or #all == 0 then return end
    local r = read_room(name, all)
    count_members(r)
    local gone, was_counted = judge_members(r, find), is_counted(r)
    if not was_counted then find('room-count') end
    if not mend or (was_counted and not next(gone)) then return end
    r.seq = tonumber(is_number(r.of['.seq']) and r.of['.seq'] or 0)
    r.born = is_number(r.of['.born']) and r.of['.born'] or integer(call('HINCRBY', head, 'rooms', 1))
    for id, m in pairs(gone) do remove(r, key, id, m) end
    write_room(r, key)
end

-- That a front-end lists a member means that the room has it, of that front-end.
local function judge_listing(node, id, room, key, find)
    local listing = id .. ' ' .. room
    if redis.pcall('HEXISTS', listing_of(node), listing) ~= 1 then return end
    local m = redis.pcall('HGET', key, 'm:' .. id)
    if type(m) == 'string' and string.sub(m, 1, #node + 1) == node .. ' ' then return end
    find('member-missing', node)
    if mend then call('HDEL', listing_of(node), listing) end
end

each_name(function(name, key, find)
    local node, id, room = string.match(name, '^%+(%S+) (%S+) (.+)$')
    if node then
        judge_listing(node, id, room, key, find)
    else
        judge_room(string.sub(name, 2), key, find)
    end
end)
