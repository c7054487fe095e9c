-- repair_tell: the end of repair (repair.lua): what was mended is told.
if mend then tell_users() end
if seq then call('HSET', head, 'seq', integer(seq)) end
if #told > 0 then
    call('HSET', head, 'revision', integer(revision + #told))
    call('PUBLISH', events, '1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. #told .. '\n' ..
         table.concat(told))
end
return found
