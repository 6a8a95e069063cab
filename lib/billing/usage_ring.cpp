#include "billing/usage_ring.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace hasp::billing {
namespace {

constexpr std::uint64_t magic = 0x3130676e69727568; // "huring01"

struct Header {
    std::uint64_t magic;
    std::uint32_t lanes;
    std::uint32_t capacity;
    std::array<std::uint8_t, 16> id;
};

// The header and the lanes' positions fill whole pages in front of the records.
constexpr std::size_t page = 4096;
constexpr std::size_t states_offset = page;
std::size_t records_offset(std::uint32_t lanes) {
    return states_offset + (lanes * sizeof(LaneState) + page - 1) / page * page;
}
std::size_t ring_size(std::uint32_t lanes, std::uint32_t capacity) {
    return records_offset(lanes) + std::size_t{lanes} * capacity * sizeof(UsageRecord);
}
bool sane(std::uint32_t lanes, std::uint32_t capacity) {
    return lanes >= 1 && lanes <= UsageRing::lanes_max && std::has_single_bit(capacity) &&
           capacity <= UsageRing::records_max;
}

} // namespace

Result<Fd> UsageRing::create(std::uint32_t lanes, std::uint32_t records,
                             const std::array<std::uint8_t, 16>& id) {
    if (!sane(lanes, records)) {
        return fail(Code::usage,
                    "a usage ring cannot have " + std::to_string(lanes) + " lanes of " +
                        std::to_string(records) + " records",
                    "1 to 64 lanes; a power of two up to 1048576 records");
    }
    Fd fd{::memfd_create("hasp-usage-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!fd) {
        return errno_error(errno, "cannot make the usage ring");
    }
    if (::ftruncate(fd.get(), static_cast<off_t>(ring_size(lanes, records))) != 0) {
        return errno_error(errno, "cannot size the usage ring");
    }
    const Header header{magic, lanes, records, id};
    if (::pwrite(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
        return errno_error(errno, "cannot write the usage ring");
    }
    // Nobody can shrink it under the other side, which would be killed by SIGBUS.
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return errno_error(errno, "cannot seal the size of the usage ring");
    }
    return fd;
}

Result<UsageRing> UsageRing::map(int fd) {
    Header header{};
    struct stat seen {};
    if (::fstat(fd, &seen) != 0 ||
        ::pread(fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
        return fail(Code::refused, "the descriptor is not a usage ring: it cannot be read");
    }
    if (header.magic != magic || !sane(header.lanes, header.capacity) ||
        static_cast<std::size_t>(seen.st_size) != ring_size(header.lanes, header.capacity)) {
        return fail(Code::refused, "the descriptor is not a usage ring of this version");
    }
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
        return fail(Code::refused,
                    "the usage ring could be cut by somebody else: it is not sealed");
    }
    const auto size = static_cast<std::size_t>(seen.st_size);
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return errno_error(errno, "cannot map the usage ring");
    }
    UsageRing ring;
    ring.memory_ = memory;
    ring.size_ = size;
    ring.lanes_ = header.lanes;
    ring.capacity_ = header.capacity;
    return ring;
}

UsageRing::UsageRing(UsageRing&& other) noexcept {
    *this = std::move(other);
}

UsageRing& UsageRing::operator=(UsageRing&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    std::swap(lanes_, other.lanes_);
    std::swap(capacity_, other.capacity_);
    return *this;
}

UsageRing::~UsageRing() {
    if (memory_ != nullptr) {
        ::munmap(memory_, size_);
    }
}

LaneState& UsageRing::state(std::uint32_t lane) const {
    return reinterpret_cast<LaneState*>(static_cast<char*>(memory_) + states_offset)[lane];
}

UsageRecord* UsageRing::records(std::uint32_t lane) const {
    return reinterpret_cast<UsageRecord*>(static_cast<char*>(memory_) + records_offset(lanes_)) +
           std::size_t{lane} * capacity_;
}

std::array<std::uint8_t, 16> UsageRing::id() const {
    return static_cast<const Header*>(memory_)->id;
}

UsageLane UsageRing::lane(std::uint32_t lane) {
    return UsageLane(&state(lane), records(lane), capacity_);
}

UsageRing::Batch UsageRing::peek(std::uint32_t lane) const {
    const LaneState& at = state(lane);
    const std::uint64_t head = at.head.load(std::memory_order_relaxed);
    const std::uint64_t tail = at.tail.load(std::memory_order_acquire);
    // Positions that contradict each other are another process's damage; nothing of it can be
    // believed.
    if (tail - head > capacity_) {
        return {head, {}};
    }
    const std::uint64_t offset = head & (capacity_ - 1);
    const std::uint64_t count = std::min<std::uint64_t>(tail - head, capacity_ - offset);
    return {head, {records(lane) + offset, static_cast<std::size_t>(count)}};
}

void UsageRing::take(std::uint32_t lane, std::size_t count) {
    const std::size_t known = peek(lane).records.size();
    LaneState& at = state(lane);
    at.head.store(at.head.load(std::memory_order_relaxed) + std::min(count, known),
                  std::memory_order_release);
}

std::uint64_t UsageRing::dropped(std::uint32_t lane) const {
    return state(lane).dropped.load(std::memory_order_relaxed);
}

} // namespace hasp::billing
