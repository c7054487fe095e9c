-- apply_write: the last part of apply (apply.lua): what was judged is written and told.
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
local SECRET = {session = true, version = true, resume = true}
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

local write = {}
function write.open(op)
    call('DEL', op.key)
    if op.due then call('ZREM', deadlines, 'c:' .. op.id) end
    store(op, 'since', integer(now), first_part(op))
    call('PEXPIRE', op.key, ttl)
    call('HSET', mine, op.id, call('HGET', op.key, 'user') or '')
    whole('open', op)
end
-- Fields that Redis has and the owner has not. What the map keeps itself stays.
local KEPT = {session = true, version = true, node = true, since = true}
local function remove_others(op)
    local ours = {}
    for i = op.fields, op.last, 2 do ours[ARGV[i]] = true end
    for _, field in ipairs(call('HKEYS', op.key)) do
        if not ours[field] and not KEPT[field] then call('HDEL', op.key, field) end
    end
end
function write.adopt(op)
    call('ZREM', deadlines, 'c:' .. op.id)
    if op.keep then
        call('HSET', op.key, 'node', node, 'session', op.session)
    else
        if op.is_made_of_fields then remove_others(op) end
        store(op, first_part(op))
    end
    call('PEXPIRE', op.key, ttl)
    call('HSET', mine, op.id, call('HGET', op.key, 'user') or '')
    whole('adopt', op)
end
function write.update(op)
    call('HSET', op.key, 'version', op.to, 'state', op.state)
    tell('update', op.id, op.to, pair('state', op.state))
end
function write.set(op)
    local body = {}
    for i = op.fields, op.last, 2 do body[#body + 1] = pair(ARGV[i], ARGV[i + 1]) end
    for i = op.gone, op.last_gone do body[#body + 1] = text[#ARGV[i]] .. ' -\n' .. ARGV[i] end
    call('HSET', op.key, 'version', op.to)
    store_from(op, op.fields)
    each_part(op.gone, op.last_gone, function(...) call('HDEL', op.key, ...) end)
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
    call('ZREM', deadlines, 'c:' .. op.id)
    store(op, first_part(op))
    call('PEXPIRE', op.key, ttl)
    call('HSET', mine, op.id, call('HGET', op.key, 'user') or '')
    whole('adopt', op)
    write.resumed(op, i)
end
function write.index(op)
    call('HSET', mine, op.id, call('HGET', op.key, 'user') or '')
    call('ZREM', deadlines, 'c:' .. op.id)
    call('PEXPIRE', op.key, ttl)
end
function write.close(op)
    call('DEL', op.key)
    call('ZREM', deadlines, 'c:' .. op.id)
    if op.from ~= '' then call('HDEL', op.index, op.id) end
    tell('close', op.id, '', pair('reason', op.reason or 'closed'))
end
function write.orphan(op)
    call('HSET', op.key, 'node', '')
    call('PEXPIRE', op.key, ttl)
    call('HDEL', op.index, op.id)
    call('ZADD', deadlines, integer(op.at), 'c:' .. op.id)
    tell('orphan', op.id, '', '')
end
function write.unlist(op) call('HDEL', op.index, op.id) end
function write.undue(op) call('ZREM', deadlines, 'c:' .. op.id) end
function write.bury(op)
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
end
write_rooms()
if entries ~= tonumber(h[5] or 0) then call('HSET', head, 'entries', integer(entries)) end
if count > 0 then
    call('HSET', head, 'revision', integer(revision + count))
    call('PUBLISH', events, '1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. count .. '\n' ..
         table.concat(told))
    revision = revision + count
end
return 'ok ' .. integer(revision) .. ' ' .. integer(now) .. '\n' .. table.concat(results, '\n') ..
       (given[1] and '\n' .. table.concat(given) or '')
