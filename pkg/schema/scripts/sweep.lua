-- sweep: each front-end calls it every second. It renews the lease, detects that Redis stalled or
-- that its clock jumped, and lists what is due. It changes no entry: apply judges what is listed
-- again, and publishes it.
--
-- It is joined from prelude.lua and this file.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 members:<self>  6 registered
-- ARGV  1 epoch  2 node  3 link  4 lease ms  5 recovery grace ms  6 longest deadline ms  7 maximum of
--       each list  8 longest registration ms  9 ms by which a registration is overdue before it is
--       listed  10 the front-end's reader of formats  11 revision of the shared settings that it runs
--       with  12 longest lease of any front-end ms
-- Returns {"ok", revision, now, end of the recovery grace, entries in node:<self>, {due}, {expired
--       nodes}, members in members:<self>, {registrations due}, entries of the partition}
--      or {"epoch"}, {"link"}, {"lease"} or {"format"}: call hello again
--      or {"shared", revision}: the shared settings have changed, read them first
local h = call('HMGET', KEYS[1], 'epoch', 'revision', 'link:' .. ARGV[2], 'hold_until', 'last',
               'reader', 'shared', 'entries')
if h[1] ~= ARGV[1] then return {'epoch'} end
if (tonumber(h[6] or 1) or math.huge) > tonumber(ARGV[10]) then return {'format'} end
local shared = tonumber(h[7] or 0) or 0
if shared > tonumber(ARGV[11]) then return {'shared', integer(shared)} end
if shared < tonumber(ARGV[11]) then call('HSET', KEYS[1], 'shared', ARGV[11]) end
if string.match(h[3] or '', '^%d+') ~= ARGV[3] then return {'link'} end

local recovery_end, since = tonumber(h[4] or 0), now - tonumber(h[5] or now)
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
call('HSET', KEYS[1], 'last', integer(now))

local lease = tonumber(call('ZSCORE', KEYS[2], ARGV[2]) or 0)
if lease == 0 or (lease < now and now >= recovery_end) then return {'lease'} end
call('ZADD', KEYS[2], integer(now + ARGV[4]), ARGV[2])

local due, expired, registered = {}, {}, {}
if now >= recovery_end then
    due = call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now), 'LIMIT', 0, ARGV[7])
    expired = call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. integer(now), 'LIMIT', 0, 16)
    registered = call('ZRANGEBYSCORE', KEYS[6], '-inf', integer(now - ARGV[9]), 'LIMIT', 0, ARGV[7])
end
return {'ok', h[2] or '0', integer(now), integer(recovery_end), call('HLEN', KEYS[4]), due, expired,
        call('HLEN', KEYS[5]), registered, h[8] or '0'}
