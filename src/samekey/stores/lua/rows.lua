-- Some generations, each as what stays of it for ever and as what is there now.
-- KEYS: meta, then actions and bodies of each. ARGV: the store's id, then the generation of each.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
    return {'gone'}
end
local rows = {}
for i = 2, #ARGV do
    rows[#rows + 1] = redis.call('HGET', KEYS[2 * i - 2], 'g' .. ARGV[i]) or ''
    rows[#rows + 1] = redis.call('HGET', KEYS[2 * i - 1], ARGV[i]) or ''
end
return {'rows', rows}
