-- All that is stored of one identity, at one instant. Times are microseconds since 1970.
-- KEYS: meta, actions, bodies, newest. ARGV: the store's id.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
    return {'gone'}
end
local clock = redis.call('TIME')
return {
    'state',
    redis.call('HGETALL', KEYS[2]),
    redis.call('HGETALL', KEYS[3]),
    redis.call('GET', KEYS[4]) or '',
    string.format('%d', clock[1] * 1000000 + clock[2]),
}
