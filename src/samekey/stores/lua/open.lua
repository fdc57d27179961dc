-- Makes the store if there is none, binds it to a secret, and tells what it is.
-- KEYS: meta, order. ARGV: schema, fresh id, check value of the secret, the secret if the store is to keep it or '',
-- the id of the store that was open before or ''.
local meta, order = KEYS[1], KEYS[2]
local id = redis.call('HGET', meta, 'id')
if ARGV[5] ~= '' and id ~= ARGV[5] then
    return {'gone'}
end
if not id then
    if redis.call('EXISTS', order) == 1 then
        return {'damaged'}
    end
    redis.call('HSET', meta, 'schema', ARGV[1], 'id', ARGV[2], 'check', ARGV[3], 'secret', ARGV[4])
end
local found = redis.call('HMGET', meta, 'schema', 'id', 'check', 'secret')
return {'ok', found[1] or '', found[2] or '', found[3] or '', found[4] or ''}
