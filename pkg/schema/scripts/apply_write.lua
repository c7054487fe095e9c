-- apply_write: the last part of apply (apply.lua): the operations are judged, one after the other,
-- and what was judged is written and told.
while at <= #ARGV do
    local op = {key = KEYS[key], id = string.sub(KEYS[key], id_at), session = '', version = '',
                state = false, how = false, to = false, index = mine}
    local kind = take()
    key = key + 1
    read[kind](op)
    total = total + 1
    ops[total] = op
    if op.room then
        local r = room_of(op)
        results[total] = r.wrong and 'type' or judge_room[op.room](op, r)
    elseif kind == 'offline' then
        results[total] = judge.offline(op)
    else
        local k = look(op.key)
        results[total] = k.err and 'type' or judge[kind](op, k)
    end
end

local told, count = {}, 0
local function tell(name, id, version, body)
    count = count + 1
    told[count] = name .. ' ' .. text[#id] .. ' ' .. text[#version] .. ' ' .. text[#body] .. '\n' ..
                      id .. version .. body
end
local function pair(field, value)
    return text[#field] .. ' ' .. text[#value] .. '\n' .. field .. value
end
-- All fields but those that hidden names.
local function body_of(op, hidden)
    local all, body = call('HGETALL', op.key), {}
    for i = 1, #all, 2 do
        if not hidden[all[i]] then body[#body + 1] = pair(all[i], all[i + 1]) end
    end
    return table.concat(body)
end
local SECRET = {session = true, version = true, resume = true, probe = true, certificate = true}
local function body_told(op) return body_of(op, SECRET) end
local function whole(name, op) tell(name, op.id, op.to, body_of(op, SECRET)) end

-- Lua hands over a few thousand values at most.
local MANY = 2000
local function each_part(first, last, put)
    for from = first, last, MANY do put(unpack(ARGV, from, math.min(last, from + MANY - 1))) end
end
local function store_from(op, first)
    each_part(first, op.last, function(...) call('HSET', op.key, ...) end)
end
-- All fields of the operation, with what the map keeps itself.
local function store(op, ...)
    call('HSET', op.key, 'version', op.to, 'node', node, 'session', op.session, ...)
    store_from(op, op.fields + MANY)
end
local function first_part(op) return unpack(ARGV, op.fields, math.min(op.last, op.fields + MANY - 1)) end

-- In this front-end's index, and among the user's devices. Returns 1 when it was not in the index.
local function list(op)
    local user = not op.state and call('HGET', op.key, 'user') or ''
    local added = call('HSET', mine, op.id, user)
    if user ~= '' then
        follow_device(op.id, user)
    elseif op.how == 'open' then
        follow_entry(op.id, true)
    end
    return added
end
-- From the index of who had it. Returns its user, and 1 when it was there.
local function unlist(op, left)
    local user = call('HGET', op.index, op.id)
    local removed = call('HDEL', op.index, op.id)
    if user and user ~= '' then follow_device(op.id, user, left) end
    return user, removed
end
local function undue(op) return call('ZREM', deadlines, 'c:' .. op.id) end
-- Into the index, from wherever else it was counted.
local function move_into_index(op)
    local removed = undue(op)
    if op.was_registered then removed = removed + call('ZREM', registered, op.id) end
    entries = entries + list(op) - removed
end

local write = {}
function write.open(op)
    call('DEL', op.key)
    if op.due then call('ZREM', deadlines, 'c:' .. op.id) end
    if op.was_registered then call('ZREM', registered, op.id) end
    store(op, 'since', integer(now), first_part(op))
    call('PEXPIRE', op.key, ttl)
    local before = op.was_listed and call('HGET', mine, op.id)
    list(op)
    if before and before ~= '' then follow_device(op.id, before) end
    whole('open', op)
end
-- Fields that Redis has and the owner has not.
local function remove_others(op)
    local ours = {}
    for i = op.fields, op.last, 2 do ours[ARGV[i]] = true end
    for _, field in ipairs(call('HKEYS', op.key)) do
        if not ours[field] and not KEPT[field] then call('HDEL', op.key, field) end
    end
end
function write.adopt(op)
    if op.was_registered then call('HDEL', op.key, 'registered', 'probe') end
    if op.keep then
        call('HSET', op.key, 'node', node, 'session', op.session)
    else
        if op.is_made_of_fields then
            remove_others(op)
        elseif not op.certificate then
            call('HDEL', op.key, 'certificate')
        end
        store(op, first_part(op))
    end
    if op.anew then call('HSET', op.key, 'since', integer(now)) end
    call('PEXPIRE', op.key, ttl)
    move_into_index(op)
    whole('adopt', op)
end
function write.update(op)
    call('HSET', op.key, 'version', op.to, 'state', op.state)
    -- What brings all fields makes it its front-end's anew: that counts its TTL from here.
    if op.fields then call('PEXPIRE', op.key, ttl) end
    tell('update', op.id, op.to, pair('state', op.state))
end
function write.set(op)
    local body, has_status = {}, false
    for i = op.fields, op.last, 2 do
        body[#body + 1] = pair(ARGV[i], ARGV[i + 1])
        has_status = has_status or ARGV[i] == 'status'
    end
    for i = op.gone, op.last_gone do body[#body + 1] = text[#ARGV[i]] .. ' -\n' .. ARGV[i] end
    call('HSET', op.key, 'version', op.to)
    store_from(op, op.fields)
    each_part(op.gone, op.last_gone, function(...) call('HDEL', op.key, ...) end)
    local user = has_status and call('HGET', op.key, 'user')
    if user then follow_device(op.id, user) end
    tell('update', op.id, op.to, table.concat(body))
end
-- What the client is given back are its own fields.
local MAPS_OWN = {session = true, version = true, node = true, since = true, protocol = true,
                  address = true}
local given = {}
function write.resumed(op, i)
    local body = body_of(op, MAPS_OWN)
    results[i] = results[i] .. ' ' .. text[#body]
    given[#given + 1] = body
end
function write.resume(op, i)
    store(op, first_part(op))
    call('PEXPIRE', op.key, ttl)
    move_into_index(op)
    whole('adopt', op)
    write.resumed(op, i)
end
function write.index(op)
    move_into_index(op)
    call('PEXPIRE', op.key, ttl)
end
-- It was judged as counted once.
function write.close(op, i)
    note_end(op, i)
    local user, removed = op.from == '' and call('HGET', op.key, 'user'), 0
    call('DEL', op.key)
    if op.from ~= '' then user, removed = unlist(op) end
    entries = entries + 1 - removed - undue(op)
    if not user or user == '' then follow_entry(op.id, false) end
    tell('close', op.id, '', pair('reason', op.reason or 'closed'))
end
function write.orphan(op)
    call('HSET', op.key, 'node', '')
    call('PEXPIRE', op.key, ttl)
    local _, removed = unlist(op, op.at - grace)
    entries = entries - removed + call('ZADD', deadlines, integer(op.at), 'c:' .. op.id)
    tell('orphan', op.id, '', '')
end
function write.outlive(op)
    local _, removed = unlist(op, op.at - grace)
    entries = entries - removed + call('ZADD', deadlines, integer(op.at), 'c:' .. op.id)
end
function write.unlist(op)
    local _, removed = unlist(op)
    entries = entries - removed
end
function write.undue(op) entries = entries - undue(op) end
function write.offline(op) touch(op.user).is_due = true end
function write.forget_node(op)
    if call('HLEN', op.index) == 0 and call('HLEN', prefix .. 'members:' .. op.session) == 0 then
        call('ZREM', nodes, op.session)
        call('HDEL', head, 'link:' .. op.session)
    end
end

-- The batch number first: from here on the batch has happened.
call('HSET', head, 'link:' .. node, link .. ' ' .. ARGV[5])
for i = 1, total do
    local op = ops[i]
    if op.how then write[op.how](op, i) end
    if op.put then op.put(op, tell, pair, body_told, i) end
end
tell_users()
write_rooms()
local changed = {}
local function put(field, value) changed[#changed + 1], changed[#changed + 2] = field, integer(value) end
if entries ~= tonumber(h[5] or 0) then put('entries', entries) end
if seq then put('seq', seq) end
if born then put('rooms', born) end
if count > 0 then put('revision', revision + count) end
if changed[1] then call('HSET', head, unpack(changed)) end
if count > 0 then
    call('PUBLISH', events, '1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. count .. '\n' ..
         table.concat(told))
end
return 'ok ' .. integer(revision + count) .. ' ' .. integer(now) .. '\n' ..
       table.concat(results, '\n') .. (given[1] and '\n' .. table.concat(given) or '')
