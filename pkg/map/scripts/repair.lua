-- repair: looks at entries, one by one, for what the rules of the map forbid (docs/invariants.md),
-- and mends it when asked. An entry is never simply deleted while it has a hash: what nobody owns
-- any more becomes an orphan with a deadline, so that its client may come back, and is told.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 events (channel)  5.. node:<node> of each front-end
--       then client:<id> of each entry; `registered`, of the same partition, is made from head's name
-- ARGV  1 "look" or "mend"  2 client ttl ms  3 grace ms  4 a session for entries that have none
--       5 count of front-ends, then their ids, then the ids of the entries
-- Returns a list of texts "<number of the entry, from 1> <rule>[ <node>]", or {"nodes"} when
--       `nodes` holds a front-end that was not given, or {"epoch"} when there is none to tell in.
local head, nodes, deadlines, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local mend, ttl, grace, session = ARGV[1] == 'mend', ARGV[2], tonumber(ARGV[3]), ARGV[4]
local count = tonumber(ARGV[5])
local registered = string.sub(head, 1, #head - #'head') .. 'registered'
local call = redis.call

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(n) return string.format('%.0f', n) end
local h = call('HMGET', head, 'epoch', 'revision', 'hold_until')
local epoch, revision = h[1], tonumber(h[2] or 0)
local holding = now < tonumber(h[3] or 0)
if not epoch and mend then return {'epoch'} end

-- The front-ends: index is the key of what each lists, lease the end of its lease (0: none).
local index, lease = {}, {}
for i = 1, count do index[ARGV[5 + i]], lease[ARGV[5 + i]] = KEYS[4 + i], 0 end
local leases = call('ZRANGE', nodes, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
    if not index[leases[i]] then return {'nodes'} end
    lease[leases[i]] = tonumber(leases[i + 1])
end
local function is_alive(node) return holding or (lease[node] or 0) >= now end

local told = {}
local function tell(name, id, version, body)
    told[#told + 1] = name .. ' ' .. #id .. ' ' .. #version .. ' ' .. #body .. '\n' .. id .. version ..
                          body
end
local function pair(field, value) return #field .. ' ' .. #value .. '\n' .. field .. value end
local function whole(id, key)
    local all, body, version = call('HGETALL', key), {}, ''
    for i = 1, #all, 2 do
        if all[i] == 'version' then
            version = all[i + 1]
        elseif all[i] ~= 'session' and all[i] ~= 'resume' and all[i] ~= 'probe' then
            body[#body + 1] = pair(all[i], all[i + 1])
        end
    end
    tell('adopt', id, version, table.concat(body))
end

local found = {}

-- An id without an entry: nothing may speak of it.
local function judge_missing(number, e)
    local any = false
    local function find(rule, node)
        any = true
        found[#found + 1] = number .. ' ' .. rule .. (node and ' ' .. node or '')
    end
    for node in pairs(e.listed) do
        if not holding or lease[node] >= now then
            find('missing', node)
            if mend then call('HDEL', index[node], e.id) end
        end
    end
    if (e.deadline or e.probe_at) and not holding then
        find('no-entry')
        if mend then
            call('ZREM', deadlines, 'c:' .. e.id)
            call('ZREM', registered, e.id)
        end
    end
    if mend and (any or e.removed) then
        tell('close', e.id, '', pair('reason', 'repaired'))
    end
end

-- Without an owner: it may be listed nowhere, and must have a deadline.
local function forsake(e, at)
    for node in pairs(e.listed) do call('HDEL', index[node], e.id) end
    call('ZREM', registered, e.id)
    call('HDEL', e.key, 'registered', 'probe')
    call('HSET', e.key, 'node', '')
    call('PEXPIRE', e.key, ttl)
    call('ZADD', deadlines, integer(at), 'c:' .. e.id)
end

local function judge_entry(number, e)
    local function find(rule, node)
        found[#found + 1] = number .. ' ' .. rule .. (node and ' ' .. node or '')
    end
    if e.ttl < 0 then
        find('ttl')
        if mend then call('PEXPIRE', e.key, ttl) end
    end
    local spoilt = false
    if not (e.session and #e.session == 32 and not string.find(e.session, '[^0-9a-f]')) then
        spoilt = true
        find('session')
        if mend then call('HSET', e.key, 'session', session) end
    end
    if not (e.version and (e.version == '0' or string.find(e.version, '^[1-9]%d*$')) and
        (#e.version < 19 or #e.version == 19 and e.version <= '9223372036854775807')) then
        spoilt = true
        find('version')
        if mend then call('HSET', e.key, 'version', '0') end
    end
    if not e.node then
        spoilt = true
        find('node')
    end

    for node in pairs(e.listed) do
        if node ~= e.node then
            find('listed', node)
            if mend then call('HDEL', index[node], e.id) end
        end
    end
    if e.probe_at and not (e.registered and e.node == '') then
        find('undue')
        if mend then call('ZREM', registered, e.id) end
    end
    if e.node == '' and e.registered then
        if e.deadline then
            find('undue')
            if mend then call('ZREM', deadlines, 'c:' .. e.id) end
        end
        if not e.probe_at then find('no-deadline') end
        if mend and not e.probe_at and not spoilt then
            call('ZADD', registered, integer(now), e.id)
        end
    elseif e.node == '' then
        if not e.deadline then find('no-deadline') end
        if mend and not e.deadline and not spoilt then
            forsake(e, now + grace)
            tell('orphan', e.id, '', '')
        end
    elseif e.node then
        if e.deadline then
            find('undue')
            if mend then call('ZREM', deadlines, 'c:' .. e.id) end
        end
        if not is_alive(e.node) then
            local ends = lease[e.node] or 0
            find('abandoned', e.node)
            if mend and not spoilt then
                forsake(e, (ends > 0 and ends or now) + grace)
                tell('orphan', e.id, '', '')
            end
        elseif not e.listed[e.node] and index[e.node] then
            find('unlisted', e.node)
            if mend and not spoilt then
                call('HSET', index[e.node], e.id, call('HGET', e.key, 'user') or '')
            end
        end
    end
    if mend and spoilt then
        forsake(e, now + grace)
        whole(e.id, e.key)
    end
end

for i = 6 + count, #ARGV do
    local number = i - 5 - count
    local e = {id = ARGV[i], key = KEYS[4 + count + number], listed = {}}
    for node, key in pairs(index) do
        if redis.pcall('HEXISTS', key, e.id) == 1 then e.listed[node] = true end
    end
    e.deadline = call('ZSCORE', deadlines, 'c:' .. e.id)
    e.probe_at = call('ZSCORE', registered, e.id)
    e.ttl = call('PTTL', e.key)
    local v = e.ttl ~= -2 and
              redis.pcall('HMGET', e.key, 'session', 'version', 'node', 'registered') or {}
    if v.err then
        found[#found + 1] = number .. ' type'
        if mend then
            call('DEL', e.key)
            e.removed = true
        end
    end
    e.session, e.version, e.node, e.registered = v[1], v[2], v[3], v[4]
    if e.ttl == -2 or e.removed then
        judge_missing(number, e)
    elseif not v.err then
        judge_entry(number, e)
    end
end

if #told > 0 then
    call('HSET', head, 'revision', integer(revision + #told))
    call('PUBLISH', events, '1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. #told .. '\n' ..
         table.concat(told))
end
return found
