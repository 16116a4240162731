-- Questions for wrk: names and, one in ten, IDs of the directory that `names_bench fill` made
-- (names_bench.rs has the same rule). COUNT names; every thread has its own order.
local count = tonumber(os.getenv("NAMES_COUNT"))
local syllables = { [0] = "ba", "be", "bo", "bu", "ka", "ke", "ko", "ku",
                    "sa", "se", "so", "su", "ta", "te", "to", "tu" }
local rest = string.rep("5a", 17)
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("seed", threads)
end

function init()
    math.randomseed(seed)
end

function request()
    local spread = (math.random(0, count - 1) * 5882353) % 16777216
    if math.random(10) == 1 then
        return wrk.format("GET", string.format("/addr/%06x%s", spread, rest))
    end
    local name = {}
    for digit = 6, 1, -1 do
        name[digit] = syllables[spread % 16]
        spread = math.floor(spread / 16)
    end
    return wrk.format("GET", "/name/" .. table.concat(name))
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        "RESULT %d %d %d %f %f %f\n", summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
