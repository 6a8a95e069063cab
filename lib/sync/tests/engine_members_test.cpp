// Archives by their members between a home and two clients.
#include "engine_fixture.h"
#include "numbers.h"
#include "zip_files.h"

#include <algorithm>

namespace hasp::sync {
namespace {

// What was sent whole, or as a difference of the archives, is more than this.
constexpr std::uint64_t members_take_bytes = 1'500;
constexpr std::uint64_t archives_take_bytes = 15'000;

// With every packing in it told as another one, as if the other end's zlib packed differently.
std::string packed_otherwise(const std::string& batch) {
    MemoryFile file(batch);
    BatchReader reader(pull_from(file));
    auto head = reader.head();
    EXPECT_TRUE(head.ok());
    std::string out;
    BatchWriter writer(*head, [&out](std::string_view bytes) {
        out.append(bytes);
        return Status{};
    });
    for (Record record;;) {
        auto more = reader.next(record);
        EXPECT_TRUE(more.ok());
        if (!more.value_or(false)) {
            break;
        }
        EXPECT_TRUE(writer.add(record).ok());
        std::string content;
        for (std::string piece(4096, '\0');;) {
            const std::size_t got = reader.content(piece).value_or(0);
            content.append(piece, 0, got);
            if (got == 0) {
                break;
            }
        }
        if (record.codec == Codec::members) {
            std::string_view left = content;
            std::string told;
            for (const std::size_t numbers : {3U, 4U}) {
                const std::uint64_t count = take_number(left).value_or(0);
                put_number(told, count);
                for (std::uint64_t i = 0; i < count * numbers; ++i) {
                    const std::uint64_t value = take_number(left).value_or(0);
                    put_number(told, numbers == 4 && i % 4 == 2 ? 10 - value : value); // its level
                }
            }
            content = told + std::string(left);
        }
        if (record.type == Record::Type::put && record.codec != Codec::known) {
            EXPECT_TRUE(writer.content(content).ok() && writer.end_content().ok());
        }
    }
    EXPECT_TRUE(writer.finish().ok());
    return out;
}

class EngineMembers : public Engine {
  protected:
    void SetUp() override {
        Engine::SetUp();
        std::string text;
        while (text.size() < 200'000) {
            text += "<w:t>word" + std::to_string(random_.below(900)) + "</w:t>";
        }
        parts_ = {{"mimetype", "application/vnd.oasis.opendocument.text", {0}},
                  {"content.xml", text},
                  {"Pictures/1.png", noise(picture_bytes_)},
                  {"meta.xml", "<meta>" + text.substr(0, 300) + "</meta>"}};
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            sync(*at);
        }
        save(*tokyo_);
        sync(*tokyo_);
        sync(*osaka_);
    }
    // A sentence more, all packed anew.
    void edit() {
        parts_[1].plain.insert(random_.below(parts_[1].plain.size()), "a sentence of today");
        parts_[3].plain += std::to_string(random_.below(100));
        for (ZipPart& part : parts_) {
            part.how.time += 1;
        }
    }
    void save(Machine& at) {
        clock_.advance_us(5'000'000);
        at.write("report.odt", zip_of(parts_));
    }
    void expect_it_at(const Machine& at) {
        EXPECT_TRUE(at.content("report.odt") == zip_of(parts_));
    }

    std::size_t picture_bytes_ = 30'000;
    std::vector<ZipPart> parts_;
};

TEST_F(EngineMembers, OfAnEditedDocumentGoBothWaysAsWhatIsNewOfThem) {
    for (int turn = 0; turn < 4; ++turn) {
        Machine& from = turn % 2 == 0 ? *tokyo_ : *osaka_;
        Machine& to = turn % 2 == 0 ? *osaka_ : *tokyo_;
        edit();
        save(from);
        EXPECT_LT(sync(from).up, members_take_bytes) << turn;
        EXPECT_LT(sync(to).down, members_take_bytes) << turn;
        expect_it_at(to);
        from.start();
        to.start();
        home_->start();
    }
    EXPECT_EQ(home_->home->damage(10)->contents, 0U);
}

TEST_F(EngineMembers, OfALargeDocumentAreKeptAtTheHomeAsWhatIsNewOfThem) {
    parts_.push_back({"Pictures/2.png", noise(3 << 20)});
    save(*tokyo_);
    sync(*tokyo_);
    sync(*osaka_);
    const auto bytes = [this] {
        std::uint64_t sum = 0;
        for (const auto& one :
             std::filesystem::recursive_directory_iterator(folder_ + "/center/contents")) {
            sum += one.is_regular_file() ? one.file_size() : 0;
        }
        return sum;
    };
    const std::uint64_t before = bytes();
    edit();
    save(*tokyo_);
    EXPECT_LT(sync(*tokyo_).up, members_take_bytes);
    EXPECT_LT(sync(*osaka_).down, members_take_bytes);
    expect_it_at(*osaka_);
    EXPECT_LT(bytes() - before, std::uint64_t{200'000});
}

TEST_F(EngineMembers, GoAsTheArchiveToAndFromWhoDoesNotKnowThem) {
    format_ = batch_format_attributes;
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        sync(*at);
    }
    edit();
    save(*tokyo_);
    EXPECT_GT(sync(*tokyo_).up, archives_take_bytes);
    EXPECT_GT(sync(*osaka_).down, archives_take_bytes);
    expect_it_at(*osaka_);
    format_ = batch_format_newest;
    edit();
    save(*osaka_);
    EXPECT_GT(sync(*osaka_).up, archives_take_bytes) << "it is told in the answer to this";
    EXPECT_LT(sync(*tokyo_).down, members_take_bytes);
    expect_it_at(*tokyo_);
    edit();
    save(*osaka_);
    EXPECT_LT(sync(*osaka_).up, members_take_bytes);
}

TEST_F(EngineMembers, ThatTheHomePacksOtherwiseAreSentWholeAndNotTriedAgain) {
    on_the_way_ = packed_otherwise;
    edit();
    save(*tokyo_);
    Round round = sync(*tokyo_);
    EXPECT_EQ(round.exchanges, 2U);
    EXPECT_GT(round.up, archives_take_bytes);
    EXPECT_EQ(round.conflicts, 0U);
    on_the_way_ = nullptr;
    edit();
    save(*tokyo_);
    round = sync(*tokyo_);
    EXPECT_EQ(round.exchanges, 1U);
    EXPECT_GT(round.up, archives_take_bytes) << "as a difference of the archives";
    EXPECT_LT(round.up, zip_of(parts_).size());
    sync(*osaka_);
    expect_it_at(*osaka_);
}

TEST_F(EngineMembers, ThatAClientPacksOtherwiseComeWholeAndAreNotTriedAgain) {
    edit();
    save(*tokyo_);
    sync(*tokyo_);
    on_the_way_ = packed_otherwise;
    Round round = sync(*osaka_);
    EXPECT_EQ(round.exchanges, 2U);
    expect_it_at(*osaka_);
    on_the_way_ = nullptr;
    edit();
    save(*tokyo_);
    sync(*tokyo_);
    round = sync(*osaka_);
    EXPECT_EQ(round.exchanges, 1U);
    EXPECT_GT(round.down, archives_take_bytes);
    EXPECT_LT(round.down, zip_of(parts_).size());
    expect_it_at(*osaka_);
}

TEST_F(EngineMembers, ThatAHomeSendsUnaskedEndTheRound) {
    edit();
    save(*tokyo_);
    sync(*tokyo_);
    on_the_way_ = packed_otherwise;
    sync(*osaka_);
    on_the_way_ = nullptr;
    edit();
    save(*tokyo_);
    sync(*tokyo_);
    Client& client = *osaka_->client;
    auto out = client.prepare(osaka_->folder);
    ASSERT_TRUE(out.ok());
    ASSERT_LT(out->reads, batch_format_members);
    const FolderId& id = osaka_->folder.id;
    auto answer = home_->home->exchange({id, out->batch, out->since, "anna@osaka", out->whole,
                                         false, batch_format_members, out->after, out->met});
    ASSERT_TRUE(answer.ok());
    ASSERT_LT(answer->bytes, members_take_bytes);
    auto bytes = home_->home->read(answer->file, 0, answer->bytes);
    ASSERT_TRUE(bytes.ok() && client.take(id, 0, *bytes).ok());
    ASSERT_TRUE(client.arrived(osaka_->folder).ok());
    auto applied = client.apply(osaka_->folder, false);
    ASSERT_FALSE(applied.ok()) << "to ask again at once would have no end";
    EXPECT_EQ(applied.error().code, Code::failed);
    EXPECT_GT(sync(*osaka_).down, archives_take_bytes);
    expect_it_at(*osaka_);
}

TEST_F(EngineMembers, OfWhatTheHomeHasNoMoreAreSentWhole) {
    edit();
    save(*tokyo_);
    auto out = tokyo_->client->prepare(tokyo_->folder);
    ASSERT_TRUE(out.ok());
    ASSERT_LT(out->bytes, members_take_bytes);
    // The contents of the home are damaged as the batch arrives.
    const std::string segment = folder_ + "/center/contents/0/1";
    std::string bytes = read_file(segment, 64 << 20).value();
    for (std::size_t at = 0; at < bytes.size(); at += 1000) {
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
    }
    ASSERT_TRUE(write_file_durably(segment, bytes, 0600).ok());
    Round round = sync(*tokyo_);
    EXPECT_GT(round.up, archives_take_bytes);
    EXPECT_EQ(round.conflicts, 0U);
    auto tree = home_->home->tree(home_->folder.id);
    ASSERT_TRUE(tree.ok());
    EXPECT_EQ(tree->at("report.odt").hash, trust::sha256(zip_of(parts_)));
}

} // namespace
} // namespace hasp::sync
