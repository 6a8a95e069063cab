// The bytes of a batch: PROTOCOL.md's example, and what a reader refuses.
#include "sync/batch.h"

#include "base/text.h"
#include "sync/attributes.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

std::string plain_of(const std::string& packed) {
    MemoryFile file(packed);
    Decompressor in(pull_from(file));
    std::string out(100'000, '\0');
    out.resize(in.read(out).value_or(0));
    return out;
}

std::string packed_of(const std::string& plain) {
    std::string out;
    Compressor compressor([&](std::string_view bytes) {
        out.append(bytes);
        return Status{};
    });
    EXPECT_TRUE(compressor.write(plain).ok() && compressor.finish().ok());
    return out;
}

// The example of PROTOCOL.md.
std::string example() {
    std::string out;
    BatchWriter writer({Direction::up, 7, 300}, [&](std::string_view bytes) {
        out.append(bytes);
        return Status{};
    });
    Record record;
    record.type = Record::Type::remove;
    record.path = "old";
    record.revision = 2;
    EXPECT_TRUE(writer.add(record).ok());
    record = {};
    record.path = "a";
    record.entry = {FileKind::file, 0644, -1, 2, std::string(32, '\x11'), "", 0};
    record.codec = Codec::whole;
    EXPECT_TRUE(writer.add(record).ok() && writer.content("hi").ok() && writer.end_content().ok());
    record = {};
    record.path = "l";
    record.entry = {FileKind::symlink, 0, 0, 0, "", "a", 5};
    EXPECT_TRUE(writer.add(record).ok());
    EXPECT_TRUE(writer.finish().ok());
    return out;
}

constexpr const char* example_hex =
    "48534631"
    "01"
    "07"
    "ac02" // HSF1, up, epoch 7, number 300
    "02"
    "036f6c64"
    "02" // remove "old" of revision 2
    "01"
    "0161"
    "00"
    "01"
    "a403"
    "01"
    "02" // put "a", new, file, 0644, -1 us, 2 bytes
    "1111111111111111111111111111111111111111111111111111111111111111"
    "02"
    "026869"
    "00" // whole: "hi", end
    "01"
    "016c"
    "05"
    "03"
    "00"
    "00"
    "00"
    "0161"
    "00" // put "l", symlink to "a", nothing to bring
    "00"
    "03"; // end: three records

TEST(Batch, IsWhatTheProtocolSays) {
    EXPECT_EQ(to_hex(plain_of(example())), example_hex);
}

TEST(Batch, IsReadAsItWasWritten) {
    MemoryFile file(example());
    BatchReader reader(pull_from(file));
    auto head = reader.head();
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(head->epoch, 7U);
    EXPECT_EQ(head->number, 300U);
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.type, Record::Type::remove);
    EXPECT_EQ(record.path, "old");
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.entry.mtime_us, -1);
    EXPECT_EQ(record.entry.mode, 0644U);
    std::string content(10, '\0');
    EXPECT_EQ(reader.content(content).value_or(0), 2U);
    EXPECT_EQ(reader.content(content).value_or(9), 0U);
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.entry.target, "a");
    EXPECT_EQ(record.entry.revision, 5U);
    auto end = reader.next(record);
    ASSERT_TRUE(end.ok());
    EXPECT_FALSE(*end);
}

bool readable(const std::string& packed) {
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    if (!reader.head()) {
        return false;
    }
    for (Record record;;) {
        auto more = reader.next(record);
        if (!more) {
            EXPECT_EQ(more.error().code, Code::refused);
            return false;
        }
        if (!*more) {
            return true;
        }
    }
}

// PROTOCOL.md has these bytes: "a", which had revision 5, is the first byte of what it was.
constexpr const char* compared_hex =
    "48534632010700"
    "01016105"
    "01a40301"
    "01"
    "1111111111111111111111111111111111111111111111111111111111111111"
    "0300"
    "080103000100000000"
    "00"
    "0001";

TEST(Batch, OfTheSecondFormatBringsDifferencesAgainstWhatWasAgreedOn) {
    Record put;
    put.path = "a";
    put.entry = {FileKind::file, 0644, -1, 1, std::string(32, '\x11'), "", 5};
    put.codec = Codec::compared;
    std::string packed;
    BatchWriter writer({Direction::up, 7, 0, batch_format_compared}, [&](std::string_view bytes) {
        packed.append(bytes);
        return Status{};
    });
    ASSERT_TRUE(writer.add(put).ok());
    ASSERT_TRUE(writer.content(std::string("\1\3\0\1\0\0\0\0", 8)).ok());
    ASSERT_TRUE(writer.end_content().ok() && writer.finish().ok());
    EXPECT_EQ(packed, packed_of(*from_hex(compared_hex)));
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    EXPECT_EQ(reader.head()->format, batch_format_compared);
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.codec, Codec::compared);
    EXPECT_EQ(record.basis, "");
    EXPECT_FALSE(reader.next(record).value_or(true));
}

// PROTOCOL.md has these bytes: one file is in quarantine, one waits for the scanner.
constexpr const char* scanned_hex = "4853463402070900"
                                    "03000500044570697a"
                                    "0301060000"
                                    "0002";

TEST(Batch, OfTheFourthFormatSaysWhatIsInfectedAndWhatWaitsForTheScanner) {
    std::string packed;
    BatchWriter writer({Direction::down, 7, 9, batch_format_scanned}, [&](std::string_view bytes) {
        packed.append(bytes);
        return Status{};
    });
    Record verdict;
    verdict.type = Record::Type::verdict;
    verdict.verdict = Verdict::infected;
    verdict.copy = "Epiz";
    ASSERT_TRUE(writer.add(verdict).ok());
    verdict.index = 1;
    verdict.verdict = Verdict::waits;
    verdict.copy = "";
    ASSERT_TRUE(writer.add(verdict).ok() && writer.finish().ok());
    EXPECT_EQ(packed, packed_of(*from_hex(scanned_hex)));
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    EXPECT_EQ(reader.head()->format, batch_format_scanned);
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.verdict, Verdict::infected);
    EXPECT_EQ(record.copy, "Epiz");
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.verdict, Verdict::waits);
    EXPECT_FALSE(reader.next(record).value_or(true));
}

// PROTOCOL.md has these bytes: a folder with one attribute, and a file that has none.
TEST(Batch, OfTheSixthFormatSaysAttributesAlone) {
    std::string packed;
    const Sink keep = [&](std::string_view bytes) {
        packed.append(bytes);
        return Status{};
    };
    Record told;
    told.type = Record::Type::attributes;
    told.path = "a";
    told.entry.attributes = write_attributes({{"user.a", "1"}});
    BatchWriter older({Direction::down, 7, 9, batch_format_chunked}, keep);
    EXPECT_FALSE(older.add(told).ok()) << "to a reader that knows none";
    packed.clear();
    BatchWriter writer({Direction::down, 7, 9, batch_format_attributes, {10, "z"}}, keep);
    ASSERT_TRUE(writer.add(told).ok() && writer.finish().ok());
    const std::string plain = plain_of(packed);
    EXPECT_EQ(to_hex(plain), "48534636020709"
                             "0a017a"
                             "040161010906757365722e610131"
                             "0001");
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    EXPECT_TRUE(is_place(reader.head()->next, attributes_end));
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.type, Record::Type::attributes);
    EXPECT_EQ(record.path, "a");
    EXPECT_EQ(record.entry.kind, FileKind::file);
    EXPECT_EQ(read_attributes(record.entry.attributes)->at("user.a"), "1");
    EXPECT_FALSE(reader.next(record).value_or(true));
    for (const auto& [at, byte] : {std::pair(3, '5'), std::pair(13, '\3'), std::pair(12, '/')}) {
        std::string other = plain; // an older format, a link, no path
        other[static_cast<std::size_t>(at)] = byte;
        EXPECT_FALSE(readable(packed_of(other))) << at;
    }
    EXPECT_TRUE(readable(packed));
}

TEST(Batch, OfTheSixthFormatHasTheAttributesOfFilesAndFolders) {
    std::string packed;
    BatchWriter writer({Direction::up, 7, 0, batch_format_attributes}, [&](std::string_view bytes) {
        packed.append(bytes);
        return Status{};
    });
    Record put;
    put.path = "d";
    put.entry = {FileKind::folder, 0755, 0, 0, "", "", 0, write_attributes({{"user.a", "1"}})};
    ASSERT_TRUE(writer.add(put).ok());
    put.path = "f";
    put.entry = {FileKind::file, 0644, -1, 0, std::string(32, '\x11'), "", 5};
    ASSERT_TRUE(writer.add(put).ok());
    put.path = "l";
    put.entry = {FileKind::symlink, 0, 0, 0, "", "f", 0};
    ASSERT_TRUE(writer.add(put).ok() && writer.finish().ok());
    EXPECT_EQ(to_hex(plain_of(packed)),
              "48534636010700"
              "0101640002ed030000"
              "0906757365722e610131"
              "00"
              "0101660501a4030100"
              "1111111111111111111111111111111111111111111111111111111111111111"
              "0000"
              "01016c0003000000016600"
              "0003");
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    ASSERT_TRUE(reader.head().ok());
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(read_attributes(record.entry.attributes)->at("user.a"), "1");
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.entry.attributes, "");
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.entry.target, "f");
    EXPECT_FALSE(reader.next(record).value_or(true));
    // Those of a machine's security are none, whoever sends them.
    std::string plain = plain_of(packed);
    plain.replace(plain.find("user.a"), 6, "usex.a");
    EXPECT_FALSE(readable(packed_of(plain)));
}

// PROTOCOL.md has these bytes: of an archive of 600 bytes with one member of three, nothing is new.
TEST(Batch, OfTheSeventhFormatBringsArchivesByTheirMembers) {
    std::string packed;
    const Sink sink = [&packed](std::string_view bytes) {
        packed.append(bytes);
        return Status{};
    };
    Record put;
    put.path = "a";
    put.entry = {FileKind::file, 0644, -1, 600, std::string(32, '\x11'), "", 5};
    put.codec = Codec::members;
    BatchWriter writer({Direction::up, 7, 0, batch_format_members}, sink);
    const std::string content = *from_hex("012a0503"
                                          "012a030608"
                                          "010400d60400000000");
    ASSERT_TRUE(writer.add(put).ok() && writer.content(content).ok());
    ASSERT_TRUE(writer.end_content().ok() && writer.finish().ok());
    EXPECT_EQ(to_hex(plain_of(packed)),
              "48534637010700"
              "0101610501a40301d804"
              "1111111111111111111111111111111111111111111111111111111111111111"
              "000400"
              "12012a0503012a030608010400d60400000000"
              "00"
              "0001");
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    ASSERT_TRUE(reader.head().ok());
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.codec, Codec::members);
    EXPECT_EQ(record.basis, "");
    EXPECT_FALSE(reader.next(record).value_or(true));
    // Nobody is sent what he does not read, nor reads it where it cannot be.
    std::string plain = plain_of(packed);
    plain[3] = '6';
    EXPECT_FALSE(readable(packed_of(plain)));
    BatchWriter older({Direction::up, 7, 0, batch_format_attributes}, sink);
    EXPECT_EQ(older.add(put).error().code, Code::failed);
}

TEST(Batch, OfMoreAttributesThanABatchMayHaveIsRefused) {
    std::string packed;
    BatchWriter writer({Direction::up, 7, 300, batch_format_attributes},
                       [&](std::string_view bytes) {
                           packed.append(bytes);
                           return Status{};
                       });
    Record record;
    record.entry = {FileKind::folder, 0755, 0, 0, "", "", 0};
    record.entry.attributes = write_attributes({{"user.a", std::string(65'000, 'v')}});
    const std::uint64_t most = batch_attributes_bytes_max / record.entry.attributes.size();
    for (std::uint64_t i = 0; i <= most; ++i) {
        record.path = "f" + std::to_string(i);
        ASSERT_TRUE(writer.add(record).ok());
    }
    ASSERT_TRUE(writer.finish().ok());
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    ASSERT_TRUE(reader.head().ok());
    for (std::uint64_t i = 0; i < most; ++i) {
        ASSERT_TRUE(reader.next(record).value_or(false)) << i;
    }
    EXPECT_EQ(reader.next(record).error().code, Code::refused);
}

TEST(Batch, OfTheThirdFormatSaysNothingOfAScanner) {
    const auto changed = [](std::size_t at, const char* to) {
        std::string hex = scanned_hex;
        hex.replace(at, 2, to);
        return readable(packed_of(*from_hex(hex)));
    };
    ASSERT_TRUE(changed(6, "34"));
    EXPECT_FALSE(changed(6, "33"));
    EXPECT_FALSE(changed(6, "3a")) << "a format that there is not";
    EXPECT_FALSE(changed(6, "30"));
    EXPECT_FALSE(changed(26, "20")) << "a name with a space";
    EXPECT_FALSE(changed(26, "0a")) << "a name with a line's end";
}

// PROTOCOL.md has these bytes.
constexpr const char* chunked_hex =
    "4853463501"
    "0700"
    "01016105"
    "05a4030180808001"
    "b16ba1c64f511ed6d62fa336a2bc023b77c6b01a7ee2e9972e861f9db1291d65"
    "03"
    "2101"
    "1111111111111111111111111111111111111111111111111111111111111111"
    "00"
    "0001";

TEST(Batch, OfTheFifthFormatNamesLargeContentsByTheirChunks) {
    Record put;
    put.path = "a";
    put.entry = {FileKind::file,
                 0644,
                 -1,
                 2 << 20,
                 *from_hex(std::string(chunked_hex).substr(38, 64)),
                 "",
                 5};
    put.entry.hash.insert(0, 1, '\x01');
    put.codec = Codec::compared;
    put.basis = '\x01' + std::string(32, '\x11');
    std::string packed;
    const auto write = [&](unsigned format) {
        packed.clear();
        BatchWriter writer({Direction::up, 7, 0, format}, [&](std::string_view bytes) {
            packed.append(bytes);
            return Status{};
        });
        return writer.add(put).ok() && writer.end_content().ok() && writer.finish().ok();
    };
    EXPECT_FALSE(write(batch_format_scanned)) << "its readers know no such name";
    ASSERT_TRUE(write(batch_format_chunked));
    EXPECT_EQ(to_hex(plain_of(packed)), chunked_hex);
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    ASSERT_TRUE(reader.head().ok());
    Record record;
    ASSERT_TRUE(reader.next(record).value_or(false));
    EXPECT_EQ(record.entry.kind, FileKind::file);
    EXPECT_EQ(record.entry.hash, put.entry.hash);
    EXPECT_EQ(record.basis, put.basis);
    EXPECT_FALSE(reader.next(record).value_or(true));
    const auto changed = [](const std::string& from, const std::string& to) {
        std::string hex = chunked_hex;
        hex.replace(hex.find(from), from.size(), to);
        return readable(packed_of(*from_hex(hex)));
    };
    ASSERT_TRUE(changed("2101", "2101"));
    EXPECT_FALSE(changed("2101", "2102")) << "no name that there is";
    EXPECT_FALSE(changed("48534635", "48534634")) << "of before such names";
    EXPECT_FALSE(changed("80808001", "80804001")) << "no more than 1 MiB";
}

TEST(Batch, OfTheFirstFormatBringsNone) {
    std::string hex = compared_hex;
    hex.replace(6, 2, "31");
    EXPECT_FALSE(readable(packed_of(*from_hex(hex))));
    hex = compared_hex;
    hex.replace(hex.find("11030008") + 4, 2, "01ee");
    EXPECT_FALSE(readable(packed_of(*from_hex(hex)))) << "a hash of one byte";
}

// What stands behind such a content may read as the rest of a batch.
TEST(Batch, IsRefusedBehindContentThatIsNotAsItWasAnnounced) {
    for (const char* pieces : {"0300", "81800400"}) { // longer than the file, than a piece may be
        std::string hex = example_hex;
        hex.replace(hex.find("02026869") + 2, std::string::npos, std::string(pieces) + "0002");
        MemoryFile file(packed_of(*from_hex(hex)));
        BatchReader reader(pull_from(file));
        ASSERT_TRUE(reader.head().ok());
        Record record;
        ASSERT_TRUE(reader.next(record).value_or(false));
        ASSERT_TRUE(reader.next(record).value_or(false));
        std::string content(10, '\0');
        EXPECT_EQ(reader.content(content).error().code, Code::refused);
        EXPECT_FALSE(reader.content(content).ok());
        auto more = reader.next(record);
        ASSERT_FALSE(more.ok());
        EXPECT_EQ(more.error().code, Code::refused);
    }
}

// PROTOCOL.md has these bytes: more follows behind the put of "a" in revision 5.
constexpr const char* part_hex = "485346330207ac02"
                                 "05027061"
                                 "02036f6c6402"
                                 "0001";

TEST(Batch, OfTheThirdFormatSaysWhenceToGoOn) {
    std::string packed;
    BatchWriter writer({Direction::down, 7, 300, batch_format_parts, {5, "pa"}},
                       [&](std::string_view bytes) {
                           packed.append(bytes);
                           return Status{};
                       });
    Record gone;
    gone.type = Record::Type::remove;
    gone.path = "old";
    gone.revision = 2;
    ASSERT_TRUE(writer.add(gone).ok() && writer.finish().ok());
    EXPECT_EQ(to_hex(plain_of(packed)), part_hex);
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    const auto head = reader.head();
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(head->next, (Position{5, "pa"}));
    Record record;
    EXPECT_TRUE(reader.next(record).value_or(false));
    EXPECT_FALSE(reader.next(record).value_or(true));
    std::string last = part_hex;
    last.replace(last.find("05027061"), 8, "00"); // all of it
    EXPECT_TRUE(readable(packed_of(*from_hex(last))));
    last = part_hex;
    last.replace(last.find("05027061"), 4, "05ff7f"); // a place longer than any
    EXPECT_FALSE(readable(packed_of(*from_hex(last))));
}

TEST(Batch, ThatWasCutOrChangedIsRefused) {
    const std::string whole = example();
    ASSERT_TRUE(readable(whole));
    for (std::size_t n = 0; n < whole.size(); ++n) {
        EXPECT_FALSE(readable(whole.substr(0, n))) << n;
        std::string other = whole;
        other[n] = static_cast<char>(other[n] ^ 0x20);
        // A frame's head has more than one way to say the same.
        EXPECT_TRUE(!readable(other) || plain_of(other) == plain_of(whole)) << n;
    }
}

TEST(Batch, ThatSaysTheImpossibleIsRefused) {
    const auto changed = [](const std::string& from, const std::string& to) {
        std::string hex = example_hex;
        const std::size_t at = hex.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        hex.replace(at, from.size(), to);
        return packed_of(*from_hex(hex));
    };
    ASSERT_TRUE(readable(changed("036f6c64", "036f6c64")));
    EXPECT_FALSE(readable(changed("036f6c64", "032e2e2f"))) << "a path out of the folder";
    EXPECT_FALSE(readable(changed("48534631", "48534637")));
    EXPECT_FALSE(readable(changed("000003", "000004"))) << "records that are not there";
    EXPECT_FALSE(readable(changed("02026869", "02016800")))
        << "less content is refused by its hash later, "
           "here the rest does not fit";
    EXPECT_FALSE(readable(changed("02026869", "0203686969"))) << "more content than announced";
    EXPECT_FALSE(readable(changed("a403", "ffff03"))) << "a mode beyond 07777";
    EXPECT_FALSE(readable(changed("0503000000016100", "0504000000016100"))) << "a device";
    EXPECT_FALSE(readable(changed("036f6c6402", "036f6c648000"))) << "a number written too long";
}

Record verdict_of(std::uint64_t index, Verdict verdict, std::uint64_t revision,
                  const std::string& copy = "") {
    Record out;
    out.type = Record::Type::verdict;
    out.index = index;
    out.verdict = verdict;
    out.revision = revision;
    out.copy = copy;
    return out;
}

// PROTOCOL.md has these bytes.
TEST(Batch, OfTheEighthFormatSaysInOneWhatBecameOfMany) {
    std::string packed;
    BatchWriter writer({Direction::down, 7, 9, batch_format_moved, {}},
                       [&packed](std::string_view bytes) {
                           packed.append(bytes);
                           return Status{};
                       });
    const std::vector<Record> verdicts{
        verdict_of(0, Verdict::taken, 9),      verdict_of(1, Verdict::taken, 9),
        verdict_of(2, Verdict::taken, 9),      verdict_of(3, Verdict::copied, 9, "b"),
        verdict_of(4, Verdict::superseded, 8), verdict_of(5, Verdict::say_each, 0),
        verdict_of(6, Verdict::say_each, 0),
    };
    for (const Record& one : verdicts) {
        ASSERT_TRUE(writer.add(one).ok());
    }
    ASSERT_TRUE(writer.finish().ok());
    EXPECT_EQ(to_hex(plain_of(packed)), "48534638020709"
                                        "00"
                                        "0500030109"
                                        "030302090162"
                                        "0304030800"
                                        "0505020700"
                                        "0004");
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    ASSERT_TRUE(reader.head().ok());
    Record read;
    for (const Record& one : verdicts) {
        ASSERT_TRUE(reader.next(read).value_or(false)) << one.index;
        EXPECT_EQ(read.type, Record::Type::verdict);
        EXPECT_EQ(read.index, one.index);
        EXPECT_EQ(read.verdict, one.verdict);
        EXPECT_EQ(read.revision, one.revision);
        EXPECT_EQ(read.copy, one.copy);
    }
    EXPECT_FALSE(reader.next(read).value_or(true));
}

TEST(Batch, OfTheEighthFormatMovesAFolder) {
    std::string packed;
    const Sink sink = [&packed](std::string_view bytes) {
        packed.append(bytes);
        return Status{};
    };
    Record moved;
    moved.type = Record::Type::moved;
    moved.path = "a";
    moved.to = "b/c";
    moved.count = 300;
    moved.sum = std::string(32, '\x11');
    BatchWriter older({Direction::up, 7, 0, batch_format_members},
                      [](std::string_view) { return Status{}; });
    EXPECT_FALSE(older.add(moved).ok());
    BatchWriter writer({Direction::up, 7, 0, batch_format_moved}, sink);
    ASSERT_TRUE(writer.add(moved).ok() && writer.finish().ok());
    const std::string hex = "48534638010700"
                            "0601610362"
                            "2f63ac02"
                            "1111111111111111111111111111111111111111111111111111111111111111"
                            "0001";
    EXPECT_EQ(to_hex(plain_of(packed)), hex);
    EXPECT_TRUE(readable(packed));
    const auto changed = [&hex](const std::string& from, const std::string& to) {
        std::string other = hex;
        const std::size_t at = other.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        other.replace(at, from.size(), to);
        return readable(packed_of(*from_hex(other)));
    };
    EXPECT_FALSE(changed("48534638", "48534637")) << "a record that the format does not have";
    EXPECT_FALSE(changed("4853463801", "4853463802")) << "downward";
    EXPECT_FALSE(changed("ac02", "00")) << "nothing";
    EXPECT_FALSE(changed("ac02", "914e")) << "more than may be";
    EXPECT_FALSE(changed("0362"
                         "2f63",
                         "03612f63"))
        << "into itself";
    EXPECT_FALSE(changed("0362"
                         "2f63",
                         "0161"))
        << "to where it is";
    EXPECT_FALSE(changed("0362"
                         "2f63",
                         "032e2e2f"))
        << "out of the folder";
}

TEST(Batch, OfTheEighthFormatHasNoRunThatIsNone) {
    const auto read = [](const std::string& run) {
        return readable(packed_of(*from_hex("48534638020709"
                                            "00" +
                                            run + "0001")));
    };
    ASSERT_TRUE(read("0500020109"));
    EXPECT_FALSE(read("0500010109")) << "of one";
    EXPECT_FALSE(read("0500000109")) << "of none";
    EXPECT_FALSE(read("0500020209")) << "a copy without its name";
    EXPECT_FALSE(read("0500020509")) << "infected by nothing";
    EXPECT_FALSE(read("0500020809")) << "a verdict that there is not";
    EXPECT_FALSE(read("05a08d06020109")) << "beyond what a batch may have";
    EXPECT_FALSE(read("0501a08d060109")) << "more than a batch may have";
    ASSERT_TRUE(read("05009f8d060109"));
}

} // namespace
} // namespace hasp::sync
