-- apply_rooms: the part of apply (apply.lua) that judges what is asked of rooms; what it changes is
-- written when all has been judged.
--
-- A room is a hash with `.members`, `.born` (tells one room of a name from the next), `.seq` (of
-- its last message), `m:<id>` = "<node> <number of its last message> <user>" of each member and
-- `u:<user>` = how many of the user's devices are in it. `members:<node>` lists "<id> <room>" of
-- the members that a front-end has, with their users.
local rooms, changed_rooms, index_changes, born = {}, {}, {}, false

local function room_of(op)
    local r = rooms[op.key]
    if not r then
        local v = redis.pcall('HMGET', op.key, '.members', '.born', '.seq')
        r = {key = op.key, wrong = v.err, members = tonumber(v[1] or 0), born = v[2] or '0',
             seq = tonumber(v[3] or 0), known = {}, changed = {}, told = {}}
        rooms[op.key] = r
    end
    return r
end
-- A field as it will be; false when there is none.
local function field_of(r, name)
    if r.known[name] == nil then r.known[name] = call('HGET', r.key, name) end
    return r.known[name]
end
local function change(r, name, value)
    if not r.is_changed then
        r.is_changed = true
        changed_rooms[#changed_rooms + 1] = r
    end
    r.known[name] = value
    r.changed[name] = true
end
local function member_of(r, id)
    local m = field_of(r, 'm:' .. id)
    if not m then return nil end
    return string.match(m, '^(%S+) (%d+) (.*)$')
end
local function list_member(of, op, user)
    index_changes[#index_changes + 1] = {'HSET', prefix .. 'members:' .. of, op.member .. ' ' .. op.id,
                                         user}
end
local function unlist_member(of, op)
    index_changes[#index_changes + 1] = {'HDEL', prefix .. 'members:' .. of, op.member .. ' ' .. op.id}
end
local function say_in(r, what)
    r.seq = r.seq + 1
    r.told[#r.told + 1] = '1 ' .. epoch .. ' ' .. r.born .. ' ' .. integer(r.seq) .. ' ' .. what
end
-- How many of the user's devices are in the room, after one more or less.
local function count_user(r, user, by)
    local name = 'u:' .. user
    local n = tonumber(field_of(r, name) or 0) + by
    change(r, name, n > 0 and integer(n) or false)
    return integer(n)
end

local judge_room = {}

function judge_room.join(op, r)
    local its_node, said, user = member_of(r, op.member)
    if its_node then
        if its_node ~= node then -- which counts in another way
            unlist_member(its_node, op)
            said = op.number
        end
        change(r, 'm:' .. op.member, node .. ' ' .. said .. ' ' .. user)
        list_member(node, op, user)
        return 'ok ' .. integer(r.seq)
    end
    if r.members >= op.most then return 'limit' end
    if r.members == 0 then
        born = (born or tonumber(call('HGET', head, 'rooms') or 0)) + 1
        r.born, r.seq = integer(born), 0
    end
    r.members = r.members + 1
    change(r, 'm:' .. op.member, node .. ' ' .. op.number .. ' ' .. op.user)
    list_member(node, op, op.user)
    say_in(r, 'join ' .. op.member .. ' ' .. count_user(r, op.user, 1) .. ' ' .. op.user)
    return 'ok ' .. integer(r.seq)
end

local function remove_member(op, r, user)
    r.members = r.members - 1
    change(r, 'm:' .. op.member, false)
    say_in(r, 'leave ' .. op.member .. ' ' .. count_user(r, user, -1) .. ' ' .. user)
    return 'ok'
end

-- One that is sent again must not undo a joining that came after it.
function judge_room.leave(op, r)
    local its_node, said, user = member_of(r, op.member)
    if its_node == node and not newer(op.number, said) then return 'missing' end
    unlist_member(node, op)
    if its_node ~= node then return 'missing' end
    return remove_member(op, r, user)
end

-- A member whose front-end's lease has ended.
function judge_room.evict_member(op, r)
    if is_alive(op.other) then return 'waits' end
    local its_node, _, user = member_of(r, op.member)
    unlist_member(op.other, op)
    if its_node ~= op.other then return 'missing' end
    return remove_member(op, r, user)
end

-- A message: what was sent twice is told once.
function judge_room.publish(op, r)
    local its_node, said, user = member_of(r, op.member)
    if its_node ~= node then return 'missing' end
    if not newer(op.number, said) then return 'ok' end
    change(r, 'm:' .. op.member, node .. ' ' .. op.number .. ' ' .. user)
    say_in(r, 'say ' .. op.member .. '\n' .. op.message)
    return 'ok'
end

-- For apply_write: everything of the rooms, each told in its order.
local function write_room(r)
    r.name = string.sub(r.key, #prefix + 1) -- with its kind
    if r.members <= 0 then
        call('DEL', r.key)
    else
        call('HSET', r.key, '.members', integer(r.members), '.born', r.born, '.seq', integer(r.seq))
        for name in pairs(r.changed) do
            local value = r.known[name]
            if value then call('HSET', r.key, name, value) else call('HDEL', r.key, name) end
        end
    end
    for _, message in ipairs(r.told) do call('PUBLISH', channels .. r.name, message) end
end
local function write_rooms()
    for _, c in ipairs(index_changes) do call(unpack(c)) end
    for _, r in ipairs(changed_rooms) do write_room(r) end
end
