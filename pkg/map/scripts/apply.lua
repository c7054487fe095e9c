-- apply: every change of a partition goes through here: an ordered list of operations, judged all
-- before the first write, told in one event message.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 events (channel)
--       then client:<id> of each operation, and after it node:<other> for forsake and bury
-- ARGV  1 epoch  2 node  3 link (number)  4 batch before (number)  5 batch (number)
--       6 client ttl ms  7 grace ms  8 most entries
--       then per operation: kind, id, session, version, rule, n, and n strings (field, value, ...)
--         version: "=N" absolute, "~B" low byte of it (RFC 1982), "+" the stored one plus 1
--         rule: who may adopt: "any", "off", or the address that it must have come from
--         forsake and bury: session holds the other node's id
-- Returns one string: "ok <revision> <now>" and a line per operation, or, when nothing was judged,
--       "epoch", "link", "lease" (say hello again) or "order" (an earlier batch is missing).
--   lines: "ok [version]", "stale", "owned <node> <lease end>", "dead <node>" (forsake it first),
--          "missing", "exists", "limit", "type", "waits"
local head, nodes, deadlines, mine, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, node, link = ARGV[1], ARGV[2], ARGV[3]
local ttl, grace, most = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local call = redis.call

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local h = call('HMGET', head, 'epoch', 'revision', 'link:' .. node, 'hold_until', 'entries')
if h[1] ~= epoch then return 'epoch' end
if h[3] ~= link .. ' ' .. ARGV[4] then
    return string.match(h[3] or '', '^%d+') == link and 'order' or 'link'
end
local revision, entries = tonumber(h[2] or 0), tonumber(h[5] or 0)
local holding = now < tonumber(h[4] or 0)
local lease = tonumber(call('ZSCORE', nodes, node) or 0)
if lease == 0 or (lease < now and not holding) then return 'lease' end

local function integer(n) return string.format('%.0f', n) end

-- Decimal strings: clients use all 63 bits, and Lua's numbers end at 2^53.
local function newer(a, b) return #a > #b or (#a == #b and a > b) end
local function low_byte(v)
    local m = 0
    for i = 1, #v do m = (m * 10 + string.byte(v, i) - 48) % 256 end
    return m
end
local function plus(v, n)
    local digits, carry = {}, n
    for i = #v, 1, -1 do
        local d = string.byte(v, i) - 48 + carry
        digits[i] = d % 10
        carry = math.floor(d / 10)
    end
    return (carry > 0 and integer(carry) or '') .. table.concat(digits)
end
local LARGEST = '9223372036854775807'

-- What each key will be after the operations judged so far.
local known = {}
local function look(key)
    local k = known[key]
    if not k then
        local v = redis.pcall('HMGET', key, 'session', 'version', 'node')
        if v.err then
            k = {wrong = true}
        else
            k = {session = v[1], version = v[2] or '0', node = v[3] or '', exists = v[3] ~= false}
        end
        known[key] = k
    end
    return k
end

local lease_of = {}
local function lease_end(other)
    if not lease_of[other] then lease_of[other] = tonumber(call('ZSCORE', nodes, other) or 0) end
    return lease_of[other]
end

-- nil when the operation's session may write the entry, else the refusal.
local function fence(op, k)
    if k.session == op.session and (k.node == node or k.node == '') then return nil end
    if k.node ~= '' then
        local ends = lease_end(k.node)
        if k.node ~= node and ends < now and not holding then return 'dead ' .. k.node end
        return 'owned ' .. k.node .. ' ' .. integer(ends)
    end
    if op.rule == 'any' then return nil end
    local from = op.rule ~= 'off' and call('HGET', op.key, 'address')
    if from and string.match(from, '^(.*):%d+$') == op.rule then return nil end
    return 'owned - 0'
end

-- The whole version that the operation asks for; nil when it is stale.
local function version_of(op, k)
    local kind, v = string.sub(op.version, 1, 1), string.sub(op.version, 2)
    if kind == '+' then
        v = plus(k.version, 1)
    elseif kind == '~' then
        local ahead = (tonumber(v) - low_byte(k.version)) % 256
        if ahead == 0 then
            v = k.version
        elseif ahead < 128 then
            v = plus(k.version, ahead)
        else
            return nil
        end
    end
    if newer(v, LARGEST) then return nil end
    if newer(v, k.version) then return v end
    -- A retry of what is stored already is accepted again.
    if v == k.version and k.session == op.session then
        local state = k.state or call('HGET', op.key, 'state')
        if state == op.state then return v, true end
    end
    return nil
end

local function become(op, k, how, version)
    if how == 'open' then
        if entries >= most then return 'limit' end
        entries = entries + 1
    end
    op.how, op.to = how, version
    k.exists, k.session, k.node, k.version, k.state = true, op.session, node, version, op.state
    return 'ok ' .. version
end

local judge = {}

function judge.open(op, k)
    if k.exists then
        if k.session == op.session and k.node == node then return 'ok' end
        return 'exists'
    end
    return become(op, k, 'open', '0')
end

-- An update by the owner; "missing" makes the front-end open it again with all that it knows.
function judge.update(op, k)
    if not k.exists then return 'missing' end
    local refusal = fence(op, k)
    if refusal then return refusal end
    if k.node == '' then return 'missing' end
    local version, same = version_of(op, k)
    if not version then return 'stale' end
    if not same then
        op.how, op.to = 'update', version
        k.version, k.state = version, op.state
    end
    return 'ok'
end

-- An update by somebody who may not own it yet: creates, adopts or updates.
function judge.claim(op, k)
    if not k.exists then
        local kind = string.sub(op.version, 1, 1)
        local version = kind == '+' and '1' or string.sub(op.version, 2)
        return become(op, k, 'open', version)
    end
    local refusal = fence(op, k)
    if refusal then return refusal end
    local version, same = version_of(op, k)
    if not version then return 'stale' end
    if same and k.node == node then return 'ok ' .. version end
    return become(op, k, k.node == node and 'update' or 'adopt', version)
end

-- What a live session owns, compared after a new link, a new epoch or a lost lease.
function judge.restore(op, k)
    local wanted = string.sub(op.version, 2)
    if not k.exists then
        -- A hash that only its TTL ended is still listed and counted.
        if call('HEXISTS', mine, op.id) == 1 then entries = entries - 1 end
        return become(op, k, 'open', wanted)
    end
    if k.session ~= op.session then
        if k.node ~= '' and k.node ~= node and lease_end(k.node) < now and not holding then
            return 'dead ' .. k.node
        end
        return 'owned ' .. k.node .. ' 0'
    end
    if k.node ~= '' and k.node ~= node then return 'owned ' .. k.node .. ' 0' end
    if not newer(wanted, k.version) then
        if k.node == node then
            op.how = 'index'
            return 'ok ' .. k.version
        end
        wanted, op.keep = k.version, newer(k.version, wanted)
    end
    return become(op, k, k.node == node and 'update' or 'adopt', wanted)
end

function judge.close(op, k)
    if not k.exists then return 'missing' end
    local refusal = fence(op, k)
    if refusal then return refusal end
    op.how, op.from = 'close', k.node
    k.exists = false
    entries = entries - 1
    return 'ok'
end

-- The connection of an entry is gone; session "" is the front-end's own word (an entry in its
-- index that none of its sessions owns).
function judge.orphan(op, k)
    if not k.exists then
        op.how = 'unlist'
        return 'missing'
    end
    if k.node ~= node or (op.session ~= '' and k.session ~= op.session) then return 'missing' end
    op.how = 'orphan'
    op.at = now + grace
    k.node = ''
    return 'ok'
end

-- The deadline of an orphan has passed.
function judge.reap(op, k)
    local at = call('ZSCORE', deadlines, 'c:' .. op.id)
    if not at then return 'missing' end
    if holding or tonumber(at) > now then return 'waits' end
    op.from = ''
    if k.exists and k.node ~= '' then
        op.how = 'undue'
        return 'missing'
    end
    op.how, op.reason = 'close', 'expired'
    k.exists = false
    entries = entries - 1
    return 'ok'
end

-- An entry of a front-end whose lease has ended becomes an orphan; grace counts from that end.
function judge.forsake(op, k)
    local other = op.session
    local ends = lease_end(other)
    if holding or ends >= now then return 'waits' end
    if k.exists and k.node ~= other then
        op.how = 'unlist'
        return 'missing'
    end
    if not k.exists then
        if redis.pcall('HEXISTS', op.index, op.id) ~= 1 then return 'missing' end
        op.how, op.reason, op.from = 'close', 'expired', other
        entries = entries - 1
        return 'ok'
    end
    op.how, op.at = 'orphan', (ends > 0 and ends or now) + grace
    k.node = ''
    return 'ok'
end

-- A front-end without entries and without a lease (or that takes its leave) is forgotten.
function judge.bury(op, k)
    if op.session ~= node and (holding or lease_end(op.session) >= now) then return 'waits' end
    op.how = 'bury'
    return 'ok'
end

-- Judging.
local ops, results, at, key = {}, {}, 9, 6
while at <= #ARGV do
    local n = tonumber(ARGV[at + 5])
    local op = {kind = ARGV[at], id = ARGV[at + 1], session = ARGV[at + 2], version = ARGV[at + 3],
                rule = ARGV[at + 4], fields = at + 6, last = at + 5 + n, key = KEYS[key], index = mine}
    if n > 1 then op.state = ARGV[at + 7] end
    key = key + 1
    if op.kind == 'forsake' or op.kind == 'bury' then
        op.index = KEYS[key]
        key = key + 1
    end
    local k = look(op.key)
    results[#results + 1] = k.wrong and 'type' or judge[op.kind](op, k)
    ops[#ops + 1] = op
    at = at + 6 + n
end

-- Writing and telling.
local told = {}
local function tell(name, id, version, body)
    told[#told + 1] = name .. ' ' .. #id .. ' ' .. #version .. ' ' .. #body .. '\n'
    told[#told + 1] = id
    told[#told + 1] = version
    told[#told + 1] = body
end
local function pair(field, value) return #field .. ' ' .. #value .. '\n' .. field .. value end
local function whole(name, op)
    local all, body = call('HGETALL', op.key), {}
    for i = 1, #all, 2 do
        if all[i] ~= 'session' and all[i] ~= 'version' then
            body[#body + 1] = pair(all[i], all[i + 1])
        end
    end
    tell(name, op.id, op.to, table.concat(body))
end

local write = {}
function write.open(op)
    call('DEL', op.key)
    call('HSET', op.key, 'version', op.to, 'node', node, 'session', op.session, 'since', integer(now),
         unpack(ARGV, op.fields, op.last))
    call('PEXPIRE', op.key, ttl)
    call('HSET', mine, op.id, call('HGET', op.key, 'user') or '')
    whole('open', op)
end
function write.adopt(op)
    call('ZREM', deadlines, 'c:' .. op.id)
    if op.keep then
        call('HSET', op.key, 'node', node, 'session', op.session)
    else
        call('HSET', op.key, 'version', op.to, 'node', node, 'session', op.session,
             unpack(ARGV, op.fields, op.last))
    end
    call('PEXPIRE', op.key, ttl)
    call('HSET', mine, op.id, call('HGET', op.key, 'user') or '')
    whole('adopt', op)
end
function write.update(op)
    call('HSET', op.key, 'version', op.to, 'state', op.state)
    tell('update', op.id, op.to, pair('state', op.state))
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
    if call('HLEN', op.index) == 0 then
        call('ZREM', nodes, op.session)
        call('HDEL', head, 'link:' .. op.session)
    end
end

-- The batch number first: from here on the batch has happened.
call('HSET', head, 'link:' .. node, link .. ' ' .. ARGV[5])
for i = 1, #ops do
    local op = ops[i]
    if op.how then write[op.how](op) end
end
local count = #told / 4
if count > 0 then
    call('HSET', head, 'revision', integer(revision + count), 'entries', integer(entries))
    call('PUBLISH', events, '1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. count .. '\n' ..
         table.concat(told))
    revision = revision + count
end
return 'ok ' .. integer(revision) .. ' ' .. integer(now) .. '\n' .. table.concat(results, '\n')
