-- Accounts of carbon budgets in whole milligrams. One call of this script is one step that nothing comes between.
-- KEYS: of each account its totals (a hash) and its leases (call ids by the end of their lease), in pairs.
-- ARGV: what to do, the time in ms (0: the server's own), a call id, then a fixed number of values for each account.
-- Totals: used, reserved, seeded (as of when: what was settled before is in it), `c:<call>` what a call has reserved, `w:<writer>` the last settlement of a process.
local what, now, call = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local accounts = #KEYS / 2

local function number_of(totals, field)
  return tonumber(redis.call('HGET', totals, field) or '0')
end

local function release(totals, leases, whose)
  local held = redis.call('HGET', totals, 'c:' .. whose)
  if held then
    redis.call('HINCRBY', totals, 'reserved', '-' .. held)
    redis.call('HDEL', totals, 'c:' .. whose)
    redis.call('ZREM', leases, whose)
  end
end

local function expire(totals, leases)
  for _, whose in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    release(totals, leases, whose)
  end
end

local function drop_at(totals, leases, at)
  if at ~= '0' then
    redis.call('PEXPIREAT', totals, at)
    redis.call('PEXPIREAT', leases, at)
  end
end

if what == 'enter' then -- per account: limit, mg, blocks, lease in ms, when to drop it
  local unseeded, states, blocked = {}, {}, false
  for i = 1, accounts do
    if redis.call('HEXISTS', KEYS[2 * i - 1], 'seeded') == 0 then table.insert(unseeded, i) end
  end
  if #unseeded > 0 then return {-1, unseeded} end
  for i = 1, accounts do
    local totals, leases, at = KEYS[2 * i - 1], KEYS[2 * i], 3 + 5 * (i - 1)
    expire(totals, leases)
    local used = number_of(totals, 'used')
    local others = number_of(totals, 'reserved') - number_of(totals, 'c:' .. call)
    local fits = used + others + tonumber(ARGV[at + 2]) <= tonumber(ARGV[at + 1])
    if not fits and ARGV[at + 3] == '1' then blocked = true end
    table.insert(states, {used, others, fits and 1 or 0})
  end
  if blocked then return {0, states} end
  for i = 1, accounts do
    local totals, leases, at = KEYS[2 * i - 1], KEYS[2 * i], 3 + 5 * (i - 1)
    release(totals, leases, call)
    redis.call('HSET', totals, 'c:' .. call, ARGV[at + 2])
    redis.call('HINCRBY', totals, 'reserved', ARGV[at + 2])
    redis.call('ZADD', leases, now + tonumber(ARGV[at + 4]), call)
    drop_at(totals, leases, ARGV[at + 5])
  end
  return {1, states}
end

local totals, leases = KEYS[1], KEYS[2]

if what == 'settle' then -- mg, when to drop the account, writer, number of its settlement, when it was
  if redis.call('HEXISTS', totals, 'seeded') == 0 then return {} end
  if number_of(totals, 'w:' .. ARGV[6]) < tonumber(ARGV[7]) then -- else it came before, and its answer was lost
    redis.call('HSET', totals, 'w:' .. ARGV[6], ARGV[7])
    if call ~= '' then release(totals, leases, call) end
    if tonumber(ARGV[8]) >= number_of(totals, 'seeded') then redis.call('HINCRBY', totals, 'used', ARGV[4]) end
    drop_at(totals, leases, ARGV[5])
  end
  return {number_of(totals, 'used'), number_of(totals, 'reserved')}
end

if what == 'seed' then -- mg, when to drop the account, as of when
  if redis.call('HSETNX', totals, 'seeded', ARGV[6]) == 0 then return 0 end
  redis.call('HINCRBY', totals, 'used', ARGV[4])
  drop_at(totals, leases, ARGV[5])
  return 1
end

if redis.call('HEXISTS', totals, 'seeded') == 0 then return {} end -- look
expire(totals, leases)
return {number_of(totals, 'used'), number_of(totals, 'reserved')}
