#include "store/test_db.h"

#include "base/files.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace hasp::store {

namespace {

std::unique_ptr<Db> open_or_die(const std::string& path) {
    auto db = Db::open(path);
    if (!db) {
        std::fprintf(stderr, "%s\n", db.error().message.c_str());
        std::abort();
    }
    return std::move(*db);
}

} // namespace

TestDb::TestDb() {
    std::error_code ignored;
    folder_ = (std::filesystem::temp_directory_path(ignored) / "hasp-test-XXXXXX").string();
    if (::mkdtemp(folder_.data()) == nullptr) {
        std::perror(folder_.c_str());
        std::abort();
    }
    db_ = open_or_die(path());
}

TestDb::~TestDb() {
    db_.reset();
    static_cast<void>(remove_tree(folder_));
}

Db& TestDb::reopen() {
    db_.reset();
    db_ = open_or_die(path());
    return *db_;
}

} // namespace hasp::store
