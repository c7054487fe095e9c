-- repair_publish: the end of a repair script (repair.lua): publishes what was repaired.
--
-- Takes: from repair.lua, users.lua and events.lua.
if repairs then publish_users() end
if seq then call('HSET', head, 'seq', integer(seq)) end
if #event_list > 0 then
    call('HSET', head, 'revision', integer(revision + #event_list))
    call('PUBLISH', events, event_message(agreed, epoch, integer(revision + 1)))
end
return found
