-- Keeps an answer, and lets go of others where all would be too large. KEYS: when each was last asked for, when each ends,
-- how large each is, how large all are; the answer's own. ARGV: the answer, its lifetime in ms, the limit in bytes.
-- Tells how many had to go.
local used, ends, sizes, bytes, own = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function forget(name)
  local size = tonumber(redis.call('HGET', sizes, name) or '0')
  redis.call('ZREM', used, name)
  redis.call('ZREM', ends, name)
  redis.call('HDEL', sizes, name)
  redis.call('DECRBY', bytes, size)
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 200)) do forget(name) end
forget(own)
-- An answer's places in the tables count, too.
local size = #ARGV[1] + 384
redis.call('SET', own, ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', used, now, own)
redis.call('ZADD', ends, now + tonumber(ARGV[2]), own)
redis.call('HSET', sizes, own, size)
local all, gone = redis.call('INCRBY', bytes, size), 0
while all > tonumber(ARGV[3]) do
  local name = redis.call('ZRANGE', used, 0, 0)[1]
  if not name then
    redis.call('DEL', bytes)
    break
  end
  redis.call('UNLINK', name)
  forget(name)
  all, gone = tonumber(redis.call('GET', bytes)), gone + 1
end
return gone
