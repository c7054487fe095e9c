-- apply_registry: judges operations on registered entries, which have no connection, and writes them.
-- A part of apply (apply.lua).
--
-- Such an entry has the node '', no deadline `c:`, the field `registered` = "<ttl> <probes> <interval>"
-- (ms), and the field `probe`, which is not published: the number of probes since its last
-- registration. The partition's `registered` (ZSET id -> ms) has the time of its next probe or of its
-- end. It has no owner: a connection that opens its id adopts it.
--
-- Takes: from apply.lua, apply_entries.lua, apply_judge.lua, apply_read.lua, users.lua and events.lua.
-- Gives: MAP_FIELDS, public_body, and functions of judge and read.
local NO_SESSION = string.rep('0', 32)
local probed = {}

-- The time of its next probe or of its end; nil when there is no such registration.
local function registration_due(op, k)
    local at = call('ZSCORE', registered, op.id)
    if at and k[NODE] and not is_registered(op, k) then return nil end
    return at and tonumber(at)
end
local function probe_rules(op)
    local v = redis.pcall('HMGET', op.key, 'registered', 'probe')
    local probes, interval = string.match(v[1] or '', '^%d+ (%d+) (%d+)$')
    return tonumber(probes or 0), tonumber(interval or 0), tonumber(v[2] or 0)
end
-- The hash outlives its entry, so that the end of the entry can be published.
local function extend_ttl(op, left) call('PEXPIRE', op.key, integer(left + tonumber(ttl))) end
local function store_fields(op)
    for from = op.fields, op.last, 2000 do
        call('HSET', op.key, unpack(ARGV, from, math.min(op.last, from + 1999)))
    end
end

-- All fields of an entry that events contain.
local function public_body(op) return (encode_hash(call('HGETALL', op.key), PRIVATE)) end
local function write_close(op, i)
    record_end(op, i)
    call('DEL', op.key)
    call('ZREM', registered, op.id)
    note_entry(op.id, false)
    append_event('close', op.id, '', encode_field('reason', op.reason))
end
local function write_unlisted(op) call('ZREM', registered, op.id) end
local function close_registration(op, k, reason)
    op.write, op.reason = write_close, reason
    k[NODE], k[REGISTERED], k[ABSENT] = false, false, nil
    entries = entries - 1
    return 'ok'
end

-- op.first: ms until its first probe, or until its end when it has no probes.
local function schedule_first(op)
    local probes, interval = probe_rules(op)
    call('ZADD', registered, integer(now + op.first), op.id)
    extend_ttl(op, op.first + probes * interval)
end
local function write_registration(op)
    call('DEL', op.key)
    if op.had_deadline then call('ZREM', deadlines, 'c:' .. op.id) end
    if op.was_listed then call('HDEL', mine, op.id) end
    call('HSET', op.key, 'version', '0', 'node', '', 'session', NO_SESSION, 'since', integer(now))
    store_fields(op)
    schedule_first(op)
    note_entry(op.id, true)
    append_event('open', op.id, '0', public_body(op))
end
-- Fields that the map maintains for every entry.
local MAP_FIELDS = {session = true, version = true, node = true, since = true}
-- A repeated registration: publishes changed fields only.
local function write_changes(op)
    local all, stored, wanted, body, deleted = call('HGETALL', op.key), {}, {}, {}, {}
    for i = 1, #all, 2 do stored[all[i]] = all[i + 1] end
    for i = op.fields, op.last, 2 do
        wanted[ARGV[i]] = true
        if stored[ARGV[i]] ~= ARGV[i + 1] then body[#body + 1] = encode_field(ARGV[i], ARGV[i + 1]) end
    end
    for i = 1, #all, 2 do
        local field = all[i]
        if not wanted[field] and not MAP_FIELDS[field] and field ~= 'probe' then
            deleted[#deleted + 1] = field
            body[#body + 1] = text[#field] .. ' -\n' .. field
        end
    end
    deleted[#deleted + 1] = 'probe'
    call('HDEL', op.key, unpack(deleted))
    if body[1] then
        local version = add_decimal(stored.version or '0', 1)
        store_fields(op)
        call('HSET', op.key, 'version', version)
        append_event('update', op.id, version, table.concat(body))
    end
    schedule_first(op)
end

function read.register(op)
    op.first, op.restores = tonumber(next_arg()), next_arg() == '1'
    read_fields(op)
end
function judge.register(op, k)
    probed[op.key] = true
    if k[NODE] then
        if not is_registered(op, k) then return 'owned - 0' end
        if not op.restores then op.write = write_changes end
        return 'ok'
    end
    local refusal = reserve_entry(op, k)
    if refusal then return refusal end
    op.write = write_registration
    k[SESSION], k[VERSION], k[NODE], k[STATE], k[REGISTERED] = NO_SESSION, '0', '', nil, true
    return 'ok'
end

function read.unregister() end
function judge.unregister(op, k)
    if is_registered(op, k) then return close_registration(op, k, 'unregistered') end
    if k[ABSENT] and registration_due(op, k) then return close_registration(op, k, 'expired') end
    return 'missing'
end

-- An entry whose hash has expired since Redis was restored. Some clients may have seen it, so it is
-- closed wherever it is still counted.
local function close_absent(op, k)
    if not k[ABSENT] then return 'missing' end
    if registration_due(op, k) then return close_registration(op, k, 'closed') end
    op.listed_by = ''
    if not call('ZSCORE', deadlines, 'c:' .. op.id) then
        local other = find_other_listing(op)
        if other and lease_end(other) >= now then return 'waits' end
        op.listed_by = is_listed(op) and node or other
        if not op.listed_by then return 'missing' end
        op.index = prefix .. 'node:' .. op.listed_by
    end
    op.action, k[ABSENT] = 'close', nil
    entries = entries - 1
    return 'ok'
end

-- The repeated close of an entry that Redis has lost. It closes that entry, or an earlier one with the
-- same id, but no later one; if the clock may have been set back, the version decides, too. For entries
-- of other front-ends with a lease it waits for their audit, as they may have used the id again.
function judge.ended(op, k)
    if not k[NODE] then return close_absent(op, k) end
    local since, owner = tonumber(call('HGET', op.key, 'since') or 0), k[NODE]
    local same = k[SESSION] == op.session or since == op.since
    if since > op.since then return 'missing' end
    if not same and (op.since > now or is_newer(k[VERSION], op.version)) then return 'missing' end
    if owner == node and k[SESSION] ~= op.session then return 'waits' end
    if owner ~= '' and owner ~= node and lease_end(owner) >= now then return 'waits' end
    if is_registered(op, k) then return close_registration(op, k, 'closed') end
    if owner ~= '' then op.index = prefix .. 'node:' .. owner end
    op.action, op.listed_by = 'close', owner
    k[NODE] = false
    entries = entries - 1
    return 'ok'
end

-- A probe is due, or the end. Only the caller sends the probe. The next one is due an interval after
-- this one was, so that delays do not add up, but half an interval remains for the answer.
local function write_probe(op)
    local next_due = math.max(op.due_at + op.interval, now + math.floor(op.interval / 2))
    call('HSET', op.key, 'probe', integer(op.probe))
    call('ZADD', registered, integer(next_due), op.id)
    extend_ttl(op, next_due - now + (op.probes - op.probe) * op.interval)
end
function read.probe() end
function judge.probe(op, k)
    local at = call('ZSCORE', registered, op.id)
    if not at then return 'missing' end
    if in_recovery or tonumber(at) > now or probed[op.key] then return 'waits' end
    if not k[NODE] and not k[ABSENT] then return 'missing' end
    if k[ABSENT] then return close_registration(op, k, 'expired') end
    if not is_registered(op, k) then
        op.write = write_unlisted
        return 'missing'
    end
    probed[op.key] = true
    local probes, interval, done = probe_rules(op)
    if done >= probes then return close_registration(op, k, probes > 0 and 'unanswered' or 'expired') end
    op.write, op.probe, op.probes, op.interval = write_probe, done + 1, probes, interval
    op.due_at = tonumber(at)
    return 'ok ' .. integer(done + 1)
end

-- The server may be gone, and a client has just probed it. Unless it answers, the next probe is due an
-- interval from now, instead of at the end of its time.
local function write_probe_soon(op)
    call('ZADD', registered, 'XX', 'LT', integer(now + op.interval), op.id)
end
function read.probe_soon() end
function judge.probe_soon(op, k)
    local at = registration_due(op, k)
    if not at or not k[NODE] then return 'missing' end
    local _, interval, done = probe_rules(op)
    if done == 0 and not probed[op.key] then op.write, op.interval = write_probe_soon, interval end
    return 'ok'
end
