-- apply: every change of a partition goes through here: an ordered list of operations, judged all
-- before the first write, told in one event message.
--
-- It is one script in several files, which scripts.c joins in this order: apply.lua judges what
-- concerns entries, users.lua says how users are, apply_users.lua and apply_rooms.lua judge what
-- concerns users and rooms, apply_registry.lua what concerns entries without a connection,
-- apply_write.lua goes through the operations, writes and tells.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 events (channel)
--       then of each operation client:<id>, and after it node:<other> for orphan_node and
--       forget_node; user:<user> for offline; room:<name> for join, leave, evict_member and publish
--       Further keys, of the same partition and so in the same slot, are made from head's prefix, as a
--       front-end does not know whose an entry is: user:<user>, members:<node>, registered; channels
--       from that of events: presence:<name>, room:<name>.
-- ARGV  1 epoch  2 node  3 link (number)  4 batch before (number)  5 batch (number)
--       6 limits: "<client ttl ms> <grace ms> <most entries> <hold of presence ms>"
--       then per operation:
--         update  session version state
--         open    session n {field value}      (n strings)
--         alone   session n {field value}      (open, if the user has no other device)
--         restore session version n {field value}
--         refresh session version n {field value}      (restore, if the entry is there and this session's)
--         claim   session version rule n {field value}
--         set     session version n {field value} m {field}      (m fields are deleted)
--         resume  session resume n {field value}
--         close   session rule
--         orphan  session
--         ended   session since version      (the entry of that id had ended before Redis came back older)
--         reap
--         orphan_node node
--         forget_node node
--         offline
--         register first restores n {field value}      (first: ms until it is asked, or ends;
--                  restores: 1, only if there is none)
--         unregister
--         probe
--         probe_soon
--         join    member user most number    (most: members that a room may have)
--         leave   member number
--         evict_member member node    (the member's, whose lease has ended)
--         publish member number message
--         version: decimal; of claim "=N", "~B" the low byte of it (RFC 1982), or "+": one more
--         rule: who may adopt: "any", "off", the address that it must have come from, or "tls
--         certificate": anybody, and who brings the entry's certificate even while its connection lives
--         field value: the first is "state", or the entry has none and is made of fields. Then
--         nobody may adopt it but who brings what its field `resume` holds.
-- Returns one string: "ok <revision> <now>" and a line per operation, or, when nothing was judged,
--       "epoch", "link", "lease" (say hello again) or "order" (an earlier batch is missing).
--   lines: of what has ended an entry "ok ended <since> <session> <version>"; else "ok [version]", "stale", "owned <node> <lease end>", "dead <node>" (orphan_node goes first),
--          "missing", "exists", "limit", "type", "waits"; "taken id" (the new entry's id is a present
--          user's), "taken user" (the id of the new device's user is an entry's); of join "ok seq"; of probe "ok
--          number"; "held <node> <lease end>" (it may be taken over once its connection there has let
--          go of it); of resume "ok version
--          length": behind the last line's end stand, for each such line, that many bytes: its
--          fields, as in events
local head, nodes, deadlines, mine, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, node, link = ARGV[1], ARGV[2], ARGV[3]
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

local function integer(n) return string.format('%d', n) end
-- Decimal strings: clients use all 63 bits, and Lua's numbers end at 2^53.
local function newer(a, b) return #a > #b or (#a == #b and a > b) end
local LARGEST = '9223372036854775807'

-- Nearly every batch is nothing but updates by the entries' owners. Judged and written here it
-- costs Redis two thirds of the general way when it has one operation, and a sixth less when it
-- has many, as most of what follows need not be made. Whatever is not just that leaves before the
-- first write, with nil, and is judged again below.
local function apply_updates()
    local format = string.format
    local stored, session_of, key, count = {}, {}, 5, (#ARGV - 6) / 4
    if count == 0 or count ~= #KEYS - 5 then return nil end
    for at = 7, #ARGV, 4 do
        key = key + 1
        local entry, session, version = KEYS[key], ARGV[at + 1], ARGV[at + 2]
        if ARGV[at] ~= 'update' then return nil end
        if not stored[entry] then
            local k = redis.pcall('HMGET', entry, 'session', 'version', 'node')
            if k[3] ~= node then return nil end
            session_of[entry], stored[entry] = k[1], k[2] or '0'
        end
        if session ~= session_of[entry] or not newer(version, stored[entry])
           or newer(version, LARGEST) then
            return nil
        end
        stored[entry] = version
    end
    call('HSET', head, 'link:' .. node, link .. ' ' .. ARGV[5], 'revision',
         integer(revision + count))
    local told = {'1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. count .. '\n'}
    local id_at = #head - 4 + #'client:' + 1
    key = 5
    for at = 7, #ARGV, 4 do
        key = key + 1
        local version, state = ARGV[at + 2], ARGV[at + 3]
        local id, pair = string.sub(KEYS[key], id_at), format('5 %d\nstate', #state)
        call('HSET', KEYS[key], 'version', version, 'state', state)
        told[key - 4] = format('update %d %d %d\n', #id, #version, #pair + #state) .. id ..
                        version .. pair .. state
    end
    call('PUBLISH', events, table.concat(told))
    return 'ok ' .. integer(revision + count) .. ' ' .. integer(now) .. string.rep('\nok', count)
end
local done = apply_updates()
if done then return done end

local ttl, grace, most, hold = string.match(ARGV[6], '^(%d+) (%d+) (%d+) (%d+)$')
grace, most, hold = tonumber(grace), tonumber(most), tonumber(hold)
local prefix = string.sub(head, 1, #head - 4)
local channels = string.sub(events, 1, #events - 6)

-- Lengths as text: Lua's own conversion goes through printf each time.
local text = setmetatable({}, {__index = function(t, n)
    t[n] = integer(n)
    return t[n]
end})

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

-- What each key will be after the operations judged so far: HMGET's own reply, {session, version,
-- node, state if known}; node is false when there is no entry, '' when nobody has its connection.
-- Plain indexes: a table with names would cost a tenth of the whole script. Rare ones: absent, when
-- there was no hash and what it has left is still counted;
-- resume, what who comes back to it must bring (false: nothing will do, nil: not looked up);
-- registered, whether it has registered, without a connection (nil: not looked up).
local SESSION, VERSION, NODE, STATE, ABSENT, RESUME, REGISTERED = 1, 2, 3, 4, 5, 6, 7
local known = {}
local function look(key)
    local k = known[key]
    if not k then
        k = redis.pcall('HMGET', key, 'session', 'version', 'node')
        k[VERSION] = k[VERSION] or '0'
        if not k[NODE] then k[ABSENT] = true end
        known[key] = k
    end
    return k
end

local lease_of = {}
local function lease_end(other)
    if not lease_of[other] then lease_of[other] = tonumber(call('ZSCORE', nodes, other) or 0) end
    return lease_of[other]
end
local function is_alive(other) return other == node or holding or lease_end(other) >= now end

-- A hash that only its TTL ended is still listed, or has its deadline, and is counted: what makes
-- the entry anew, or tells its end, takes that back.
-- What this batch takes from an index is not there any more for what it judges after that.
local unlisted = {} -- index .. id
local function is_listed_in(index, id)
    return not unlisted[index .. id] and redis.pcall('HEXISTS', index, id) == 1
end
local function is_listed(op) return is_listed_in(op.index, op.id) end
local registered = prefix .. 'registered'
-- Counts an entry that is to be made, in place of what an expired one of its id has left: that is
-- counted already, so a full space takes it. False when the space is full: then nothing has been
-- counted, or taken back.
local function make_room(op, k)
    local was_registered = k[ABSENT] and call('ZSCORE', registered, op.id)
    local was_listed = k[ABSENT] and not k.outlived and is_listed(op)
    local due = k[ABSENT] and (k.outlived or call('ZSCORE', deadlines, 'c:' .. op.id))
    local left = (was_registered and 1 or 0) + (was_listed and 1 or 0) + (due and 1 or 0)
    if left == 0 and entries >= most then return false end
    entries, k[ABSENT] = entries - left + 1, nil
    op.was_registered, op.was_listed, op.due = was_registered, was_listed, due
    return true
end
-- Which other front-end's index has the same id, or nil; a living one's rather than a dead one's.
-- After Redis has come back older, or a TTL has ended, an id may be in several of them for a while.
-- Rare, as only those ask who find an index wrong, or an entry of a given id missing.
local all_nodes
local function listed_elsewhere(op)
    all_nodes = all_nodes or call('ZRANGE', nodes, 0, -1)
    local dead
    for _, other in ipairs(all_nodes) do
        local index = prefix .. 'node:' .. other
        if index ~= op.index and is_listed_in(index, op.id) then
            if lease_end(other) >= now then return other end
            dead = dead or other
        end
    end
    return dead
end
-- What the index should not have: nobody is told. It is counted when it is written.
local function drop_listing(op)
    if not op.how and is_listed(op) then
        op.how, unlisted[op.index .. op.id] = 'unlist', true
    end
    return 'missing'
end
-- The end of an entry that only the index still has. Where another one has it too, that front-end
-- has the entry, and opens it again, or ends it.
local function end_expired(op, k)
    if not k[ABSENT] or not is_listed(op) then return 'missing' end
    if listed_elsewhere(op) then return drop_listing(op) end
    k[ABSENT] = nil
    op.how, op.reason, op.from = 'close', 'expired', node
    entries = entries - 1
    return 'ok'
end

-- The connection of such an entry has gone, or its front-end's index is older than its client's move to
-- another one. While nobody is taken for dead, somebody may still open it again: its front-end, or its
-- client. It waits for that as an orphan does, and nobody is told.
local function outlive(op, k)
    if not k[ABSENT] or not is_listed(op) then return 'missing' end
    if listed_elsewhere(op) then return drop_listing(op) end
    op.how, op.at, k.outlived = 'outlive', now + grace, true
    return 'ok'
end

local function is_registered(op, k)
    if k[NODE] ~= '' then return false end
    if k[REGISTERED] == nil then
        k[REGISTERED] = redis.pcall('HEXISTS', op.key, 'registered') == 1
    end
    return k[REGISTERED]
end

local function has_state(op, k) return k[STATE] or redis.pcall('HEXISTS', op.key, 'state') == 1 end
local function resume_of(op, k)
    if k[RESUME] == nil then k[RESUME] = call('HGET', op.key, 'resume') end
    return k[RESUME]
end

local function certificate_of(rule) return rule and string.match(rule, '^tls (%x+)$') end
local function has_certificate(op)
    local certificate = certificate_of(op.rule)
    return certificate and call('HGET', op.key, 'certificate') == certificate
end

-- nil when the operation's session may write the entry, else the refusal.
local function fence(op, k)
    if k[SESSION] == op.session and (k[NODE] == node or k[NODE] == '') then return nil end
    if k[NODE] ~= '' then
        local ends = lease_end(k[NODE])
        if k[NODE] ~= node and ends < now and not holding then return 'dead ' .. k[NODE] end
        local word = has_certificate(op) and 'held ' or 'owned '
        return word .. k[NODE] .. ' ' .. integer(ends)
    end
    if not op.rule or op.rule == 'off' or not has_state(op, k) then return 'owned - 0' end
    if op.rule == 'any' or certificate_of(op.rule) then return nil end
    local from = call('HGET', op.key, 'address')
    if from and string.match(from, '^(.*):%d+$') == op.rule then return nil end
    return 'owned - 0'
end

-- The whole version that the operation asks for; nil when it is stale, true when it is stored
-- already, by this session: a retry is accepted again.
local function judge_version(op, k, v)
    if newer(v, k[VERSION]) then return not newer(v, LARGEST) and v or nil end
    if v == k[VERSION] and k[SESSION] == op.session then
        local state = k[STATE] or call('HGET', op.key, 'state')
        if state == op.state then return v, true end
    end
    return nil
end
local function claimed_version(op, k)
    local kind = string.sub(op.version, 1, 1)
    if kind == '=' then return string.sub(op.version, 2) end
    if kind == '+' then return plus(k[VERSION], 1) end
    local ahead = (tonumber(string.sub(op.version, 2)) - low_byte(k[VERSION])) % 256
    return ahead < 128 and plus(k[VERSION], ahead) or nil
end

-- Users and entries share their names. Nobody becomes the user of an id that is another's entry, and
-- no entry is made whose id is a present user's. A registered server's is made all the same, as its
-- address is proven, and a user's id is whatever somebody says.
local coming = {} -- users who have become present in this batch
local function find_taken(op)
    if coming[op.id] or redis.pcall('HEXISTS', prefix .. 'user:' .. op.id, '.status') == 1 then
        return 'taken id'
    end
    if not op.user then return nil end
    local name = prefix .. 'client:' .. op.user
    if look(name)[NODE] and redis.pcall('HGET', name, 'user') ~= op.user then return 'taken user' end
    return nil
end

local function become(op, k, how, version)
    if how == 'open' then
        local taken = find_taken(op)
        if taken then return taken end
        if not make_room(op, k) then return 'limit' end
    end
    if op.user then coming[op.user] = true end
    op.how, op.to, op.was_registered = how, version, op.was_registered or is_registered(op, k)
    k[SESSION], k[VERSION], k[NODE], k[STATE] = op.session, version, node, op.state
    k[REGISTERED] = false
    if op.is_made_of_fields then k[RESUME] = op.resume end
    return 'ok ' .. version
end

local judge = {}

function judge.open(op, k)
    if is_registered(op, k) then return become(op, k, 'adopt', plus(k[VERSION], 1)) end
    if k[NODE] then
        if k[SESSION] == op.session and k[NODE] == node then return 'ok' end
        return 'exists'
    end
    return become(op, k, 'open', '0')
end

-- An update by the owner; "missing" makes the front-end open it again with all that it knows.
function judge.update(op, k)
    if not k[NODE] then return 'missing' end
    local refusal = fence(op, k)
    if refusal then return refusal end
    if k[NODE] == '' then return 'missing' end
    local version, same = judge_version(op, k, op.version)
    if not version then return 'stale' end
    if not same then
        op.how, op.to = 'update', version
        k[VERSION], k[STATE] = version, op.state
    end
    return 'ok'
end

-- An update by somebody who may not own it yet: creates, adopts or updates. What another front-end
-- still lists is its client's, though its TTL has ended: that one opens it again, or gives it up.
function judge.claim(op, k)
    if not k[NODE] then
        local other = k[ABSENT] and listed_elsewhere(op)
        local ends = other and lease_end(other) or 0
        if ends >= now then return 'owned ' .. other .. ' ' .. integer(ends) end
        local first = op.version == '+' and '1' or string.sub(op.version, 2)
        return become(op, k, 'open', first)
    end
    local refusal = fence(op, k)
    -- Nobody is parted from an entry by what is stale.
    if refusal and string.sub(refusal, 1, 5) ~= 'held ' then return refusal end
    local version, same = claimed_version(op, k), nil
    if version then version, same = judge_version(op, k, version) end
    if not version then return 'stale' end
    if refusal then return refusal end
    if same and k[NODE] == node then return 'ok ' .. version end
    return become(op, k, k[NODE] == node and 'update' or 'adopt', version)
end

-- What the owner changed of an entry made of fields.
function judge.set(op, k)
    if not k[NODE] then return 'missing' end
    local refusal = fence(op, k)
    if refusal then return refusal end
    if k[NODE] == '' then return 'missing' end
    if newer(op.version, k[VERSION]) then
        op.how, op.to = 'set', op.version
        k[VERSION] = op.version
    end
    return 'ok'
end

-- A client comes back to an entry made of fields, whose secret it knows.
function judge.resume(op, k)
    if not k[NODE] or resume_of(op, k) ~= op.rule then return 'missing' end
    if k[SESSION] == op.session and k[NODE] == node then
        op.how, op.to = 'resumed', k[VERSION]
        return 'ok ' .. k[VERSION]
    end
    if k[NODE] ~= '' then
        local ends = lease_end(k[NODE])
        if k[NODE] ~= node and ends < now and not holding then return 'dead ' .. k[NODE] end
        return 'owned ' .. k[NODE] .. ' ' .. integer(ends)
    end
    op.how, op.to = 'resume', plus(k[VERSION], 1)
    k[SESSION], k[VERSION], k[NODE] = op.session, op.to, node
    return 'ok ' .. op.to
end

-- Whether a restore would make an entry another client's.
local function is_foreign(op, k)
    if not op.is_made_of_fields and has_state(op, k) then return false end
    return not op.resume or resume_of(op, k) ~= op.resume
end

-- What a live session owns, compared after a new link, a new epoch or a lost lease.
function judge.restore(op, k)
    local wanted = op.version
    if not k[NODE] then
        local result = become(op, k, 'open', wanted)
        return string.sub(result, 1, 6) == 'taken ' and 'owned - 0' or result
    end
    local same, ours, ahead = k[SESSION] == op.session, k[NODE] == node, newer(wanted, k[VERSION])
    if k[NODE] ~= '' and not ours then
        if lease_end(k[NODE]) < now and not holding then return 'dead ' .. k[NODE] end
        -- Who takes an entry over makes its version newer. So Redis is older than that, and the
        -- other front-end, whose clients have it no more, leaves it in a moment: its audit waits
        -- for nothing.
        return (ahead or same) and 'waits' or 'owned ' .. k[NODE] .. ' 0'
    end
    if is_registered(op, k) then
        return become(op, k, 'adopt', ahead and wanted or plus(k[VERSION], 1))
    end
    if not same and is_foreign(op, k) then return 'owned - 0' end
    if not ahead then
        if same and ours then
            op.how = 'index'
            return 'ok ' .. k[VERSION]
        end
        -- Somebody had it after this session, and has left it: this one is still there.
        wanted, op.keep = k[VERSION], newer(k[VERSION], wanted)
    end
    -- Of another session: whether it is the same opening is not known. So that nobody who has seen
    -- that one end takes this for it, it counts from now.
    op.anew = not same
    return become(op, k, same and ours and op.state and 'update' or 'adopt', wanted)
end

-- What a session leaves, before its orphan: its newest state, but never an entry that others have
-- ended, or taken for dead, meanwhile.
function judge.refresh(op, k)
    if k[NODE] ~= node or k[SESSION] ~= op.session then return 'missing' end
    return judge.restore(op, k)
end

function judge.close(op, k)
    if not k[NODE] then return end_expired(op, k) end
    local refusal = fence(op, k)
    if refusal then return refusal end
    op.how, op.from = 'close', k[NODE]
    k[NODE] = false
    entries = entries - 1
    return 'ok'
end

-- The connection of an entry is gone; session "" is the front-end's own word (an entry in its
-- index that none of its sessions owns).
function judge.orphan(op, k)
    if not k[NODE] then return holding and outlive(op, k) or end_expired(op, k) end
    if k[NODE] ~= node and op.session == '' then return drop_listing(op) end
    if k[NODE] ~= node or (op.session ~= '' and k[SESSION] ~= op.session) then return 'missing' end
    op.how = 'orphan'
    op.at = now + grace
    k[NODE] = ''
    return 'ok'
end

-- The deadline of an orphan has passed.
function judge.reap(op, k)
    local at = call('ZSCORE', deadlines, 'c:' .. op.id)
    if not at then return 'missing' end
    if holding or tonumber(at) > now then return 'waits' end
    op.from = ''
    if k[NODE] and k[NODE] ~= '' then
        op.how = 'undue'
        return 'missing'
    end
    op.how, op.reason = 'close', 'expired'
    k[NODE], k[ABSENT] = false, nil
    entries = entries - 1
    return 'ok'
end

-- An entry of a front-end whose lease has ended becomes an orphan; grace counts from that end.
function judge.orphan_node(op, k)
    local other = op.session
    local ends = lease_end(other)
    if holding or ends >= now then return 'waits' end
    if k[NODE] and k[NODE] ~= other then
        return drop_listing(op) -- it was opened anew after its TTL had ended it
    end
    if not k[NODE] then return end_expired(op, k) end
    op.how, op.at = 'orphan', (ends > 0 and ends or now) + grace
    k[NODE] = ''
    return 'ok'
end

-- A front-end without entries and without a lease (or that takes its leave) is forgotten.
function judge.forget_node(op, k)
    if op.session ~= node and (holding or lease_end(op.session) >= now) then return 'waits' end
    op.how = 'forget_node'
    return 'ok'
end

-- An operation's strings by kind; the id is the end of its key.
local at, key = 7, 6
local id_at = #prefix + #'client:' + 1
local function take()
    at = at + 1
    return ARGV[at - 1]
end
local function take_fields(op)
    local n = tonumber(take())
    op.fields, op.last = at, at + n - 1
    at = at + n
    if ARGV[op.fields] == 'state' then
        op.state, op.certificate = ARGV[op.fields + 1], ARGV[op.fields + 2] == 'certificate'
        return
    end
    op.is_made_of_fields, op.resume, op.user = true, false, false
    for i = op.fields, op.last, 2 do
        local field = ARGV[i]
        if field == 'resume' or field == 'user' then op[field] = ARGV[i + 1] end
    end
end
local function take_other(op)
    op.session, op.index = take(), KEYS[key]
    key = key + 1
end
local read = {}
function read.update(op) op.session, op.version, op.state = take(), take(), take() end
function read.open(op) op.session = take() take_fields(op) end
function read.restore(op) op.session, op.version = take(), take() take_fields(op) end
read.refresh = read.restore
function read.claim(op) op.session, op.version, op.rule = take(), take(), take() take_fields(op) end
function read.set(op)
    op.session, op.version = take(), take()
    take_fields(op)
    local m = tonumber(take())
    op.gone, op.last_gone = at, at + m - 1
    at = at + m
end
function read.resume(op) op.session, op.rule = take(), take() take_fields(op) end
function read.close(op) op.session, op.rule = take(), take() end
function read.orphan(op) op.session = take() end
function read.ended(op) op.session, op.since, op.version = take(), tonumber(take()), take() end
function read.reap() end
read.orphan_node, read.forget_node = take_other, take_other
-- Those on rooms; what is judged of them, apply_rooms.lua judges.
local room_at = #prefix + #'room:' + 1
local function take_member(op, kind)
    op.room, op.id, op.member = kind, string.sub(op.key, room_at), take()
end
function read.join(op)
    take_member(op, 'join')
    op.user, op.most, op.number = take(), tonumber(take()), take()
end
function read.leave(op) take_member(op, 'leave') op.number = take() end
function read.evict_member(op) take_member(op, 'evict_member') op.other = take() end
function read.publish(op) take_member(op, 'publish') op.number, op.message = take(), take() end

local ops, results, total = {}, {}, 0

-- Before the hash of an ended entry goes: its line says which it was. What a TTL has ended was
-- opened before now.
local function note_end(op, i)
    local k = redis.pcall('HMGET', op.key, 'since', 'session', 'version')
    results[i] = 'ok ended ' .. (k[1] or integer(now)) .. ' ' .. (k[2] or '-') .. ' ' ..
                 (k[3] or LARGEST)
end
