// Readiness and health, by HTTP through the dialer; and what time alone brings about.
#include "spawner_impl.h"

#include <algorithm>
#include <sys/epoll.h>

namespace hasp::run {
namespace {

constexpr std::int64_t ready_probe_us =
    5 * second_us; // one attempt; an app may lose the first request

} // namespace

void Spawner::Impl::begin_probe(AppInstance& instance) {
    const Process& process = instance.spec.process;
    const bool health = instance.ready_us != 0;
    const std::int64_t patience = health ? process.health_timeout_s * second_us : ready_probe_us;
    Substitutions words;
    words.prefix = instance.spec.prefix;
    words.user = instance.spec.user;
    instance.next_probe_us = 0;
    instance.probe = std::make_unique<Probe>(
        instance.spec.socket_path,
        substitute(health ? process.health_path : process.ready_path, words),
        clock_.boot_us() + patience);
    step_probe(instance);
}

void Spawner::Impl::step_probe(AppInstance& instance) {
    if (!instance.probe) {
        return;
    }
    switch (instance.probe->go_on()) {
    case Probe::Step::waiting:
        watch(instance, instance.probe->fd(), instance.probe->events(), what_probe);
        return;
    case Probe::Step::answered:
        end_probe(instance, true);
        return;
    case Probe::Step::failed:
        end_probe(instance, false);
        return;
    }
}

void Spawner::Impl::end_probe(AppInstance& instance, bool answered) {
    const std::unique_ptr<Probe> probe = std::move(instance.probe);
    const Process& process = instance.spec.process;
    const std::int64_t now = clock_.boot_us();
    if (instance.ready_us == 0) {
        const int status = probe->status();
        const bool fit = process.ready_status != 0 ? status == process.ready_status
                                                   : status >= 200 && status < 500;
        if (answered && fit) {
            became_ready(instance);
            return;
        }
        instance.last_probe =
            answered ? "it answered with " + std::to_string(status) : probe->reason();
        instance.next_probe_us = now + probe_interval_ms * ms_us;
        return;
    }
    instance.misses = answered ? 0 : instance.misses + 1;
    if (instance.misses >= health_misses_max) {
        end(instance, Ending::hung,
            "it missed " + std::to_string(instance.misses) + " health probes and was killed: " +
                (probe->reason().empty() ? "it accepts connections and does not answer"
                                         : probe->reason()));
        return;
    }
    instance.next_probe_us = now + process.health_interval_s * second_us;
}

void Spawner::Impl::became_ready(AppInstance& instance) {
    const std::int64_t now = clock_.boot_us();
    instance.ready_us = now;
    instance.start_deadline_us = 0;
    const std::int64_t interval = instance.spec.process.health_interval_s;
    instance.next_probe_us = interval == 0 ? 0 : now + interval * second_us;
    set(instance, State::ready, "it answers");
    emit(EventKind::ready, instance, (now - instance.started_us) / ms_us);
}

void Spawner::Impl::tick(AppInstance& instance, std::int64_t now) {
    if (!instance.running()) {
        return;
    }
    if (instance.save_us != 0 && now >= instance.save_us) {
        instance.save_us = 0;
        instance.output.save(instance.spec.log_path);
    }
    if (instance.kill_us != 0 && now >= instance.kill_us) {
        kill(instance);
    }
    if (instance.probe && now >= instance.probe->deadline_us()) {
        // A miss is a miss however far the probe came.
        instance.last_probe = "it accepts connections and does not answer";
        if (instance.ready_us == 0) {
            instance.probe.reset();
            instance.next_probe_us = now;
        } else {
            end_probe(instance, false);
        }
    }
    if (instance.start_deadline_us != 0 && now >= instance.start_deadline_us) {
        const Process& process = instance.spec.process;
        if (instance.init) {
            end(instance, Ending::init_too_long,
                "it took more than " + std::to_string(init_s_max) + " s");
        } else {
            end(instance, Ending::not_ready,
                "it was not ready within " + std::to_string(process.ready_s) +
                    " s: " + instance.last_probe);
        }
        return;
    }
    if (!instance.probe && instance.next_probe_us != 0 && now >= instance.next_probe_us) {
        begin_probe(instance);
    }
}

} // namespace hasp::run
