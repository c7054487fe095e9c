-- sweep: each front-end calls it every second. It renews the lease, detects that Redis stalled or
-- that its clock jumped, and lists what is due. It changes no entry: apply judges what is listed
-- again, and publishes it.
--
-- It also goes on to the front-end's newest format, once no front-end needs an older one.
--
-- It is joined from prelude.lua, formats.lua and this file.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 members:<self>  6 registered
--       7 events (channel)
-- ARGV  1 epoch  2 node  3 link  4 lease ms  5 recovery grace ms  6 longest deadline ms  7 maximum of
--       each list  8 longest registration ms  9 ms by which a registration is overdue before it is
--       listed  10 the newest format that the front-end understands  11 revision of the shared
--       settings that it runs with  12 longest lease of any front-end ms  13 the least reader of the
--       front-end's newest format  14 the first release with such a reader
-- Returns {"ok", revision, now, end of the recovery grace, entries in node:<self>, {due}, {expired
--       nodes}, members in members:<self>, {registrations due}, entries of the partition, the format
--       to write}
--      or {"epoch"}, {"link"}, {"lease"} or {"format"}: call hello again
--      or {"shared", revision}: the shared settings have changed, read them first
local h = call('HMGET', KEYS[1], 'epoch', 'revision', 'link:' .. ARGV[2], 'hold_until', 'last',
               'reader', 'shared', 'entries', 'format')
if h[1] ~= ARGV[1] then return {'epoch'} end
if (tonumber(h[6] or 1) or math.huge) > tonumber(ARGV[10]) then return {'format'} end
local shared = tonumber(h[7] or 0) or 0
if shared > tonumber(ARGV[11]) then return {'shared', integer(shared)} end
if shared < tonumber(ARGV[11]) then call('HSET', KEYS[1], 'shared', ARGV[11]) end
if string.match(h[3] or '', '^%d+') ~= ARGV[3] then return {'link'} end

local agreed = written_format(h[9])
local recovery_end, since = tonumber(h[4] or 0), now - (h[5] and read_last(h[5]) or now)
if since > tonumber(ARGV[12]) or since < 0 then
    recovery_end = now + ARGV[5]
    call('HSET', KEYS[1], 'hold_until', integer(recovery_end))
elseif since > ARGV[12] * 2 / 3 and recovery_end < now + ARGV[12] then
    -- Leases may have ended only because no front-end could renew them. This gives them the time.
    recovery_end = now + ARGV[12]
    call('HSET', KEYS[1], 'hold_until', integer(recovery_end))
end
-- A clock that jumped back must not extend the recovery grace, leases and deadlines.
if recovery_end > now + ARGV[5] then
    recovery_end = now + ARGV[5]
    call('HSET', KEYS[1], 'hold_until', integer(recovery_end))
end
for _, bound in ipairs({{KEYS[2], now + ARGV[12]}, {KEYS[3], now + ARGV[6]},
                          {KEYS[6], now + ARGV[8]}}) do
    local latest = integer(bound[2])
    for _, member in ipairs(call('ZRANGEBYSCORE', bound[1], '(' .. latest, '+inf', 'LIMIT', 0,
                                 ARGV[7])) do
        call('ZADD', bound[1], latest, member)
    end
end
call('HSET', KEYS[1], 'last', write_last(agreed, now))

local lease = tonumber(call('ZSCORE', KEYS[2], ARGV[2]) or 0)
if lease == 0 or (lease < now and now >= recovery_end) then return {'lease'} end
call('ZADD', KEYS[2], integer(now + ARGV[4]), ARGV[2])

-- A front-end counts until it has been forgotten, although its lease may have ended before. One of a
-- release that registered no formats understands the first. In the recovery grace some that are
-- connected may not have returned yet.
local function all_understand_newest()
    for _, other in ipairs(call('ZRANGE', KEYS[2], 0, -1)) do
        local range = call('HGET', KEYS[1], 'formats:' .. other) or '1 1'
        if tonumber(string.match(range, '%d+$')) < NEWEST_FORMAT then return false end
    end
    return true
end
if agreed < NEWEST_FORMAT and now >= recovery_end and all_understand_newest() then
    agreed = NEWEST_FORMAT
    call('HSET', KEYS[1], 'format', agreed, 'reader', ARGV[13], 'release', ARGV[14],
         'last', write_last(agreed, now))
    call('PUBLISH', KEYS[7], event_head(agreed, h[1], h[2] or '0', 0))
end

local due, expired, registered = {}, {}, {}
if now >= recovery_end then
    due = call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now), 'LIMIT', 0, ARGV[7])
    expired = call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. integer(now), 'LIMIT', 0, 16)
    registered = call('ZRANGEBYSCORE', KEYS[6], '-inf', integer(now - ARGV[9]), 'LIMIT', 0, ARGV[7])
end
return {'ok', h[2] or '0', integer(now), integer(recovery_end), call('HLEN', KEYS[4]), due, expired,
        call('HLEN', KEYS[5]), registered, h[8] or '0', agreed}
