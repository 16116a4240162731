// A cluster of OpenDHT nodes in one process, measured: the C++ side of benches/dht_cluster.
//
//     opendht_cluster NODES SECONDS
//
// Starts NODES nodes on 127.0.0.1 (IPv4, no identity, no limits), each from the first; when
// all have a good node, and after a time to settle, keeps 32 puts in flight for SECONDS, then
// 32 gets of those keys. Each operation is on a random node; keys are fresh, values have 64
// bytes. Prints one line of JSON. The Rust side does the same with the same names.

#include <opendht.h>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;

namespace {

constexpr unsigned IN_FLIGHT = 32;
constexpr size_t VALUE_SIZE = 64;

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Resident memory of the process's own, without the pages of programs and libraries.
double resident_kib()
{
    std::ifstream statm("/proc/self/statm");
    long total = 0, resident = 0, shared = 0;
    statm >> total >> resident >> shared;
    return (resident - shared) * (sysconf(_SC_PAGESIZE) / 1024.0);
}

double cpu_seconds()
{
    rusage use {};
    getrusage(RUSAGE_SELF, &use);
    auto one = [](const timeval& t) { return t.tv_sec + t.tv_usec / 1e6; };
    return one(use.ru_utime) + one(use.ru_stime);
}

struct Load
{
    size_t done {0}, good {0};
    double elapsed {0}, cpu {0};
    std::vector<double> times;

    double percentile(double p)
    {
        if (times.empty())
            return 0;
        std::sort(times.begin(), times.end());
        return 1000 * times[std::min(times.size() - 1, size_t(p * times.size()))];
    }
};

// Keeps IN_FLIGHT operations going; `start(finished)` begins one and calls finished(ok) once.
template <class Start>
Load load(double duration, Start start)
{
    auto result = std::make_shared<Load>();
    auto mutex = std::make_shared<std::mutex>();
    auto changed = std::make_shared<std::condition_variable>();
    auto flying = std::make_shared<unsigned>(0);
    auto begun = Clock::now();
    auto cpu = cpu_seconds();
    std::unique_lock<std::mutex> lock(*mutex);
    while (seconds(Clock::now() - begun) < duration) {
        while (*flying < IN_FLIGHT) {
            ++*flying;
            auto since = Clock::now();
            lock.unlock();
            start([=](bool ok) {
                std::lock_guard<std::mutex> guard(*mutex);
                --*flying;
                ++result->done;
                result->good += ok;
                result->times.push_back(seconds(Clock::now() - since));
                changed->notify_one();
            });
            lock.lock();
        }
        changed->wait_for(lock, std::chrono::milliseconds(20));
    }
    result->elapsed = seconds(Clock::now() - begun);
    result->cpu = cpu_seconds() - cpu;
    Load measured = *result;
    changed->wait_for(lock, std::chrono::seconds(5), [&] { return *flying == 0; });
    return measured;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 3) {
        std::cerr << "usage: opendht_cluster NODES SECONDS\n";
        return 2;
    }
    const size_t count = std::strtoul(argv[1], nullptr, 10);
    const double duration = std::strtod(argv[2], nullptr);
    std::mt19937_64 random(1);

    const double before = resident_kib();
    auto begun = Clock::now();
    std::vector<std::unique_ptr<dht::DhtRunner>> nodes;
    for (size_t i = 0; i < count; ++i) {
        dht::DhtRunner::Config config {};
        auto& node = config.dht_config.node_config;
        node.max_req_per_sec = node.max_peer_req_per_sec = -1;
        node.max_store_size = node.max_store_keys = node.max_searches = -1;
        nodes.push_back(std::make_unique<dht::DhtRunner>());
        nodes.back()->run("127.0.0.1", "", "0", config);
        if (i)
            nodes.back()->bootstrap("127.0.0.1", std::to_string(nodes[0]->getBoundPort()));
    }
    for (auto& node : nodes) {
        while (count > 1 && node->getNodesStats(AF_INET).good_nodes == 0) {
            if (seconds(Clock::now() - begun) > 60) {
                std::cerr << "not all nodes connected\n";
                return 1;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    const double connected = seconds(Clock::now() - begun);
    std::this_thread::sleep_for(std::chrono::seconds(count <= 20 ? 6 : 15));
    const double idle = resident_kib();
    const double idle_cpu_from = cpu_seconds();
    std::this_thread::sleep_for(std::chrono::seconds(3));
    const double idle_cpu = (cpu_seconds() - idle_cpu_from) / 3 * 100;

    auto any = [&]() -> dht::DhtRunner& { return *nodes[random() % nodes.size()]; };
    std::vector<dht::InfoHash> keys;
    Load puts = load(duration, [&](auto finished) {
        auto key = dht::InfoHash::getRandom();
        keys.push_back(key);
        std::vector<uint8_t> data(VALUE_SIZE);
        for (auto& byte : data)
            byte = uint8_t(random());
        any().put(key, dht::Value(data), [finished](bool ok) { finished(ok); });
    });
    const double loaded = resident_kib();
    Load gets = load(duration, [&](auto finished) {
        auto found = std::make_shared<std::atomic<bool>>(false);
        any().get(
            keys[random() % keys.size()],
            [found](const std::vector<std::shared_ptr<dht::Value>>& values) {
                if (!values.empty())
                    *found = true;
                return true;
            },
            [found, finished](bool) { finished(*found); });
    });

    std::printf("{\"program\": \"opendht %s\", \"nodes\": %zu, \"connected_s\": %.3f, "
                "\"idle_kib_per_node\": %.1f, \"idle_cpu_percent\": %.2f, "
                "\"puts_per_s\": %.0f, \"put_p50_ms\": %.2f, \"put_p95_ms\": %.2f, "
                "\"put_failed\": %zu, \"cpu_ms_per_put\": %.3f, \"kib_per_put\": %.2f, "
                "\"gets_per_s\": %.0f, \"get_p50_ms\": %.2f, \"get_p95_ms\": %.2f, "
                "\"get_empty\": %zu, \"cpu_ms_per_get\": %.3f}\n",
                dht::version(), count, connected, (idle - before) / count, idle_cpu,
                puts.done / puts.elapsed, puts.percentile(0.5), puts.percentile(0.95),
                puts.done - puts.good, 1000 * puts.cpu / std::max<size_t>(1, puts.done),
                (loaded - idle) / std::max<size_t>(1, puts.done),
                gets.done / gets.elapsed, gets.percentile(0.5), gets.percentile(0.95),
                gets.done - gets.good, 1000 * gets.cpu / std::max<size_t>(1, gets.done));
    std::fflush(stdout);
    _exit(0); // ending 100 nodes in order takes long and is not measured
}
