// The bytes of a batch: changes of one folder on their way up, or an answer on its way down. One
// zstd stream of records; layout and limits in PROTOCOL.md. Whoever reads gets records one by one
// and a file's content as a stream; nothing is allocated by a length that was merely announced.
#pragma once

#include "base/result.h"
#include "sync/codec.h"
#include "sync/tree.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::sync {

inline constexpr std::uint64_t batch_records_max = 100'000;
// Attributes of all entries of a batch, and behind how many of them a batch or a part of an answer
// ends. What has to come along with what is in it may be as much again, and somewhat more.
inline constexpr std::uint64_t batch_attributes_bytes_max = std::uint64_t{64} << 20;
inline constexpr std::uint64_t batch_attributes_bytes = std::uint64_t{16} << 20;
static_assert(batch_attributes_bytes * 3 <= batch_attributes_bytes_max);
inline constexpr std::size_t batch_frame_bytes_max = std::size_t{64} * 1024;

enum class Direction : unsigned char { up = 1, down = 2 };

// How a put brings its content.
enum class Codec : unsigned char {
    known = 0, // not at all: the receiver has it, by hash. Folders and symlinks too
    delta = 1, // a difference against the content with the hash `basis`
    whole = 2,
    compared = 3, // difference.h, against the content `basis`; empty: what had the path at the
                  // entry's revision, which the home alone can know
    members = 4,  // members.h, against such a content
    later = 5,    // not at all: the receiver asks for it when he needs it. Of files, in answers
};

constexpr bool is_difference(Codec codec) {
    return codec == Codec::delta || codec == Codec::compared || codec == Codec::members;
}

// Of the stream.
inline constexpr unsigned batch_format_first = 1;
inline constexpr unsigned batch_format_compared = 2;   // has what Codec::compared needs
inline constexpr unsigned batch_format_parts = 3;      // an answer may be a part
inline constexpr unsigned batch_format_scanned = 4;    // has the verdicts infected and waits
inline constexpr unsigned batch_format_chunked = 5;    // has names by chunks (chunks.h)
inline constexpr unsigned batch_format_attributes = 6; // entries have attributes
inline constexpr unsigned batch_format_members = 7;    // has what Codec::members needs
inline constexpr unsigned batch_format_moved = 8; // folders move as a whole, verdicts come in runs
inline constexpr unsigned batch_format_later = 9; // an answer may have Codec::later: whoever asks
                                                  // for it holds those who open such files
inline constexpr unsigned batch_format_newest = batch_format_later;
// In one record that a folder was moved, itself among them.
inline constexpr std::uint64_t moved_entries_max = 10'000;
// Of what a scanner calls what it found.
inline constexpr std::size_t virus_name_bytes_max = 200;

enum class Verdict : unsigned char {
    taken = 1,      // done; `revision` is where it stands now
    copied = 2,     // the home had another change: it stays beside it, as `copy`
    superseded = 3, // the home's state counts, and comes down
    send_whole = 4, // the content could not be made from what was sent
    infected = 5,   // the content is in quarantine, as `copy` calls it; nothing else has changed
    waits = 6,      // the home has the content, and it does not count until a scanner looked at it
    say_each = 7, // of what a moved folder holds the home knows otherwise: say what became of each
};

// Printable ASCII without a space: such a name goes into messages and logs.
bool valid_virus_name(std::string_view name);

// How far somebody is who gets what changed in parts: he has all of the revisions before `number`,
// and of that one what comes before `place`.
struct Position {
    std::uint64_t number = 0; // 0: no part was had yet, or no more follows
    std::string place;        // the home's own words; empty: nothing of that revision
    friend bool operator==(const Position&, const Position&) = default;
};
inline constexpr std::size_t place_bytes_max = 4097; // a path and what it is about
// Places that are no words of the home's alone. Asked for with `attributes_behind` and a path, in a
// question of number 1: the attributes of all that has some, whatever its revision, behind that
// path. The answer says nothing else, and goes on at such a place, or at `attributes_end`.
inline constexpr char attributes_behind = 'a';
inline constexpr char attributes_end = 'z';
inline bool is_place(const Position& position, char kind) {
    return position.number != 0 && !position.place.empty() && position.place[0] == kind;
}

struct BatchHead {
    Direction direction = Direction::up;
    std::uint64_t epoch = 0;  // 0, upward: the sender knows none
    std::uint64_t number = 0; // upward: of the folder when it was made; down: what it brings up to
    unsigned format = batch_format_first;
    Position next = {}; // down, from the third format on: whence what follows is to be asked for
};

struct Record {
    // attributes: from the format on that has them, of what stands at the path, and nothing else.
    // moved: from the format on that has them, upward. It stands for the removals of all that was
    // agreed on beneath a folder, and of that, from the leaves, and then for as many puts of the
    // same beneath `to`, from the root.
    // verdicts: in the stream alone, of some that are alike; who reads gets each of them.
    enum class Type : unsigned char {
        put = 1,
        remove = 2,
        verdict = 3,
        attributes = 4,
        verdicts = 5,
        moved = 6
    };
    Type type = Type::put;
    std::string path;           // put, remove, attributes; moved: where it was
    Entry entry;                // put; its revision upward is that of the base, down its own.
                                // attributes: its kind and attributes
    std::uint64_t revision = 0; // remove, verdict
    Codec codec = Codec::known; // put
    std::string basis;          // of a difference: a hash or name
    std::uint64_t index = 0;    // verdict: of the put or remove in the batch, from 0
    std::string to;             // moved: where it is
    std::uint64_t count = 0;    // moved: of what was there, the folder itself among them
    std::string sum;            // moved: of that (moved.h)
    Verdict verdict = Verdict::taken;
    std::string copy; // verdict copied: the path; infected: what was found
};

class BatchWriter {
  public:
    BatchWriter(const BatchHead& head, Sink out);
    ~BatchWriter();
    // A put with content is followed by content() calls and end_content(). failed: its format has
    // no names by chunks, or no such records, and one is in it. Verdicts that are alike and follow
    // one another go as one.
    Status add(const Record& record);
    Status content(std::string_view bytes);
    Status end_content();
    Status finish();
    std::uint64_t records() const { return records_; }

  private:
    void end_run();

    Compressor compressor_;
    unsigned format_;
    std::string pending_;
    std::uint64_t records_ = 0;
    Record run_; // the first verdict of those that go as one
    std::uint64_t run_length_ = 0;
};

class BatchReader {
  public:
    explicit BatchReader(Pull in);
    // First. Code::refused for other bytes.
    Result<BatchHead> head();
    // False: that was the last, and its count agrees. Content that was not read is skipped.
    Result<bool> next(Record& record);
    // Of the last put, if its codec has one; 0 at its end. Refused beyond what its entry announces.
    // After an error of either, both have that error: where the next record begins is not known.
    Result<std::size_t> content(std::span<char> into);

  private:
    Result<std::uint64_t> number();
    Result<std::uint64_t> number_below(std::uint64_t limit, const char* what);
    Result<std::string> text(std::size_t limit);
    Status exactly(std::span<char> into);
    Status entry(Record& record);
    Status attributes(Entry& entry);
    Status basis(Record& record);
    Status moved(Record& record);
    Status verdict(Record& record, bool run);
    Status skip_content();
    Result<bool> next_record(Record& record);
    Result<std::size_t> next_content(std::span<char> into);

    Decompressor in_;
    std::string buffer_;
    std::size_t used_ = 0;
    unsigned format_ = batch_format_first;
    Direction direction_ = Direction::up;
    bool in_content_ = false;
    std::uint64_t frame_left_ = 0;
    std::uint64_t content_left_ = 0; // what may still come
    std::uint64_t records_ = 0;
    Record run_; // the next verdict of those that came as one
    std::uint64_t run_left_ = 0;
    std::uint64_t attributes_bytes_ = 0; // of all records so far
    std::optional<Error> error_;
};

} // namespace hasp::sync
