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

