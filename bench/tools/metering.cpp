// What metering costs, as CPU time: a record on the request's path into the ring, and an event from
// the ring to the disk through the keeper that hasp serve runs.  bench_metering STATE  prints JSON.
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/random.h"
#include "billing/batch.h"
#include "billing/usage_ring.h"
#include "maint/keeper.h"
#include "maint/tier_identity.h"
#include "trust/hash.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace hasp;

constexpr std::uint32_t ring_records = 16'384;
constexpr int request_rounds = 60;
constexpr int event_batches = 300;
constexpr int small_batches = 100;

double now_ns(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

class Nobody final : public maint::KeeperPorts {
  public:
    void send_front(std::string_view, std::string_view, std::span<const int>) override {}
    void send_spawner(std::string_view, std::string_view) override {}
    void answer_admin(std::uint64_t, std::string_view, std::string_view) override {}
    void background(std::function<void()> work, std::function<void()> done) override {
        work();
        done();
    }
};

struct Names {
    std::vector<std::string> apps{"wiki", "calendar", "fossil", "leaflets", "tickets"};
    std::vector<std::string> users;
    Names() {
        for (int i = 0; i < 200; ++i) {
            users.push_back("reception-" + std::to_string(i));
        }
    }
};

// What passon does with a finished exchange: every field, from where it stands in memory.
bool write(billing::UsageLane& lane, const Names& names, std::uint64_t n, std::int64_t now_us) {
    billing::UsageRecord record;
    record.status = 200;
    record.flags = billing::usage_final;
    record.time_us = now_us + static_cast<std::int64_t>(n) * 50;
    record.duration_us = static_cast<std::int64_t>(400 + n % 1000);
    record.bytes_in = n % 7 == 0 ? 300 : 0;
    record.bytes_out = 1024 + n % 4096;
    billing::set_name(record.app, names.apps[n % names.apps.size()]);
    billing::set_name(record.user, names.users[n * 7 % names.users.size()]);
    record.sid.fill(static_cast<std::uint8_t>(n * 7 % names.users.size()));
    for (std::size_t i = 0; i < record.rid.size(); ++i) {
        record.rid[i] = static_cast<std::uint8_t>((n * 0x9e3779b97f4a7c15ULL) >> (i % 8 * 8));
    }
    return lane.write(record);
}

void die(const std::string& what) {
    std::fprintf(stderr, "bench_metering: %s\n", what.c_str());
    std::exit(1);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        die("usage: bench_metering STATE");
    }
    const std::string state = argv[1];
    SystemClock clock;
    SystemRandom random;
    const Log log(STDERR_FILENO, clock, "bench", false, Level::error);
    auto me = maint::make_top_identity("clinics", "center", clock, random);
    if (!me.ok() || !maint::save_identity(state + "/keys", *me).ok()) {
        die("cannot make a tier in " + state);
    }
    Nobody ports;
    auto keeper = maint::Keeper::open({state, {}, "bench", true}, ports, clock, random, log);
    if (!keeper.ok()) {
        die(keeper.error().message);
    }
    std::array<std::uint8_t, 16> id{1};
    auto fd = billing::UsageRing::create(1, ring_records, id);
    auto ring = billing::UsageRing::map(fd->get());
    billing::UsageLane lane = ring->lane(0);
    const Names names;
    const std::int64_t now_us = clock.wall_us();
    std::uint64_t n = 0;

    double request_ns = 0;
    for (int round = 0; round < request_rounds; ++round) {
        const double begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (std::uint32_t i = 0; i < ring_records; ++i) {
            if (!write(lane, names, n++, now_us)) {
                die("the ring is full");
            }
        }
        const double took = (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / ring_records;
        request_ns = round == 0 ? took : std::min(request_ns, took);
        ring->take(0, ring_records);
    }

    const auto harvest = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            write(lane, names, n++, now_us);
        }
        double cpu = 0;
        for (std::size_t left = count; left > 0;) {
            const double begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
            auto batch = ring->peek(0);
            const std::size_t durable =
                (*keeper)->on_usage({ring->id(), 0, batch.first, 0}, batch.records);
            ring->take(0, durable);
            cpu += now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
            if (durable != batch.records.size()) {
                die("the ledger did not take the records");
            }
            left -= durable;
        }
        return cpu;
    };
    harvest(billing::batch_events_max); // statements, caches and the file come into being
    const double wall = now_ns(CLOCK_MONOTONIC);
    double event_ns = 0;
    for (int i = 0; i < event_batches; ++i) {
        event_ns += harvest(billing::batch_events_max);
    }
    const double events = event_batches * static_cast<double>(billing::batch_events_max);
    const double wall_us = (now_ns(CLOCK_MONOTONIC) - wall) / 1e3 / events;
    double small_ns = 0;
    for (int i = 0; i < small_batches; ++i) {
        small_ns += harvest(1);
    }

    // The parts that are pure, alone.
    std::vector<billing::UsageRecord> records(billing::batch_events_max);
    for (std::size_t i = 0; i < records.size(); ++i) {
        write(lane, names, n++, now_us);
    }
    std::size_t copied = 0;
    while (copied < records.size()) {
        const auto batch = ring->peek(0);
        for (const auto& r : batch.records) {
            records[copied++] = r;
        }
        ring->take(0, batch.records.size());
    }
    double begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    std::size_t bytes = 0;
    for (int i = 0; i < event_batches; ++i) {
        bytes = billing::encode_events(records)->size();
    }
    const double encode_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
    const std::string text(bytes, 'x');
    begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < event_batches; ++i) {
        const std::string digest = trust::sha256(text);
        if (me->envelope_key.sign(digest).size() != trust::ed25519_signature_bytes) {
            die("no signature");
        }
    }
    const double sign_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
    std::uintmax_t disk = 0;
    for (const char* file : {"/ledger.db", "/ledger.db-wal"}) {
        std::error_code none;
        disk += std::filesystem::exists(state + file)
                    ? std::filesystem::file_size(state + file, none)
                    : 0;
    }
    std::printf(
        "{\"request_ns\": %.3f, \"event_us\": %.4f, \"encode_us\": %.4f, \"sign_us\": %.4f, "
        "\"wall_us\": %.4f, \"small_batch_us\": %.2f, \"bytes_per_event\": %.2f}\n",
        request_ns, event_ns / 1e3 / events, encode_ns / 1e3 / events, sign_ns / 1e3 / events,
        wall_us, small_ns / 1e3 / small_batches, static_cast<double>(disk) / events);
    return 0;
}
