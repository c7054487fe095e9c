-- apply_registry: a part of apply (apply.lua): entries without a connection, which have registered.
--
-- Such an entry has node '', no deadline `c:`, the field `registered` = "<ttl> <probes> <interval>"
-- (ms), which is told, and the field `probe`, which is not: how often it has been asked since it
-- registered last. `registered` of the partition (ZSET id -> ms) says when it is to be asked, or
-- ends. It belongs to whoever comes: a connection that opens its id takes it over.
local NOBODY = string.rep('0', 32)
local probed = {}

-- When it is to be asked next; nil when there is no such registration.
local function due_at(op, k)
    local at = call('ZSCORE', registered, op.id)
    if at and k[NODE] and not is_registered(op, k) then return nil end
    return at and tonumber(at)
end
local function rules_of(op)
    local v = redis.pcall('HMGET', op.key, 'registered', 'probe')
    local probes, interval = string.match(v[1] or '', '^%d+ (%d+) (%d+)$')
    return tonumber(probes or 0), tonumber(interval or 0), tonumber(v[2] or 0)
end
-- The hash lives a while longer than its entry, whose end is to be told.
local function keep_for(op, left) call('PEXPIRE', op.key, integer(left + tonumber(ttl))) end
local function store_fields(op)
    for from = op.fields, op.last, 2000 do
        call('HSET', op.key, unpack(ARGV, from, math.min(op.last, from + 1999)))
    end
end

local function put_close(op, tell, pair, _, i)
    note_end(op, i)
    call('DEL', op.key)
    call('ZREM', registered, op.id)
    follow_entry(op.id, false)
    tell('close', op.id, '', pair('reason', op.reason))
end
local function put_unlisted(op) call('ZREM', registered, op.id) end
local function close(op, k, reason)
    op.put, op.reason = put_close, reason
    k[NODE], k[REGISTERED], k[ABSENT] = false, false, nil
    entries = entries - 1
    return 'ok'
end

-- first: ms until it is asked the first time, or until its end when it never is.
local function time_of(op)
    local probes, interval = rules_of(op)
    call('ZADD', registered, integer(now + op.first), op.id)
    keep_for(op, op.first + probes * interval)
end
local function put_new(op, tell, pair, body_of)
    call('DEL', op.key)
    if op.due then call('ZREM', deadlines, 'c:' .. op.id) end
    if op.was_listed then call('HDEL', mine, op.id) end
    call('HSET', op.key, 'version', '0', 'node', '', 'session', NOBODY, 'since', integer(now))
    store_fields(op)
    time_of(op)
    follow_entry(op.id, true)
    tell('open', op.id, '0', body_of(op))
end
-- What the map keeps itself of an entry, whatever its fields are.
local KEPT = {session = true, version = true, node = true, since = true}
-- Only what has changed is told.
local function put_again(op, tell, pair)
    local all, stored, wanted, body, gone = call('HGETALL', op.key), {}, {}, {}, {}
    for i = 1, #all, 2 do stored[all[i]] = all[i + 1] end
    for i = op.fields, op.last, 2 do
        wanted[ARGV[i]] = true
        if stored[ARGV[i]] ~= ARGV[i + 1] then body[#body + 1] = pair(ARGV[i], ARGV[i + 1]) end
    end
    for i = 1, #all, 2 do
        local field = all[i]
        if not wanted[field] and not KEPT[field] and field ~= 'probe' then
            gone[#gone + 1] = field
            body[#body + 1] = text[#field] .. ' -\n' .. field
        end
    end
    gone[#gone + 1] = 'probe'
    call('HDEL', op.key, unpack(gone))
    if body[1] then
        local version = plus(stored.version or '0', 1)
        store_fields(op)
        call('HSET', op.key, 'version', version)
        tell('update', op.id, version, table.concat(body))
    end
    time_of(op)
end

function read.register(op) op.first, op.restores = tonumber(take()), take() == '1' take_fields(op) end
function judge.register(op, k)
    probed[op.key] = true
    if k[NODE] then
        if not is_registered(op, k) then return 'owned - 0' end
        if not op.restores then op.put = put_again end
        return 'ok'
    end
    if not make_room(op, k) then return 'limit' end
    op.put = put_new
    k[SESSION], k[VERSION], k[NODE], k[STATE], k[REGISTERED] = NOBODY, '0', '', nil, true
    return 'ok'
end

function read.unregister() end
function judge.unregister(op, k)
    if is_registered(op, k) then return close(op, k, 'unregistered') end
    if k[ABSENT] and due_at(op, k) then return close(op, k, 'expired') end
    return 'missing'
end

-- Its TTL has ended since Redis came back, and some may have seen it before that: it ends where it
-- is still counted.
local function end_absent(op, k)
    if not k[ABSENT] then return 'missing' end
    if due_at(op, k) then return close(op, k, 'closed') end
    op.from = ''
    if not call('ZSCORE', deadlines, 'c:' .. op.id) then
        local other = listed_elsewhere(op)
        if other and lease_end(other) >= now then return 'waits' end
        op.from = is_listed(op) and node or other
        if not op.from then return 'missing' end
        op.index = prefix .. 'node:' .. op.from
    end
    op.how, k[ABSENT] = 'close', nil
    entries = entries - 1
    return 'ok'
end

-- Said again of what had ended: that entry, or an earlier one of the id, ends. Not a later one; where
-- the clock may have been set back, the version decides too. A living front-end says itself what it
-- does not have (its audit), as it may have put the id to new use.
function judge.ended(op, k)
    if not k[NODE] then return end_absent(op, k) end
    local since, its = tonumber(call('HGET', op.key, 'since') or 0), k[NODE]
    local same = k[SESSION] == op.session or since == op.since
    if since > op.since then return 'missing' end
    if not same and (op.since > now or newer(k[VERSION], op.version)) then return 'missing' end
    if its == node and k[SESSION] ~= op.session then return 'waits' end
    if its ~= '' and its ~= node and lease_end(its) >= now then return 'waits' end
    if is_registered(op, k) then return close(op, k, 'closed') end
    if its ~= '' then op.index = prefix .. 'node:' .. its end
    op.how, op.from = 'close', its
    k[NODE] = false
    entries = entries - 1
    return 'ok'
end

-- It is to be asked, or ends: the caller, and nobody else, asks it. The next time follows from when
-- this one was due, so that what comes late does not add up; half an interval is left to answer.
local function put_probe(op)
    local next_due = math.max(op.due_at + op.interval, now + op.interval / 2)
    call('HSET', op.key, 'probe', integer(op.probe))
    call('ZADD', registered, integer(next_due), op.id)
    keep_for(op, next_due - now + (op.probes - op.probe) * op.interval)
end
function read.probe() end
function judge.probe(op, k)
    local at = call('ZSCORE', registered, op.id)
    if not at then return 'missing' end
    if holding or tonumber(at) > now or probed[op.key] then return 'waits' end
    if not k[NODE] and not k[ABSENT] then return 'missing' end
    if k[ABSENT] then return close(op, k, 'expired') end
    if not is_registered(op, k) then
        op.put = put_unlisted
        return 'missing'
    end
    probed[op.key] = true
    local probes, interval, done = rules_of(op)
    if done >= probes then return close(op, k, probes > 0 and 'unanswered' or 'expired') end
    op.put, op.probe, op.probes, op.interval = put_probe, done + 1, probes, interval
    op.due_at = tonumber(at)
    return 'ok ' .. integer(done + 1)
end

-- It may be gone, and somebody has just asked it: unless it answers, what would be asked at the end
-- of its time is asked from now on.
local function put_probe_soon(op)
    call('ZADD', registered, 'XX', 'LT', integer(now + op.interval), op.id)
end
function read.probe_soon() end
function judge.probe_soon(op, k)
    local at = due_at(op, k)
    if not at or not k[NODE] then return 'missing' end
    local _, interval, done = rules_of(op)
    if done == 0 and not probed[op.key] then op.put, op.interval = put_probe_soon, interval end
    return 'ok'
end
