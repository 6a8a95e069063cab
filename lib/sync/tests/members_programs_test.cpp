// Archives that other programs wrote: each is given again byte for byte, or not taken apart.
#include "base/files.h"
#include "collect.h"
#include "sync/members.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::sync {
namespace {

// NAME.before and NAME.after, an edit of it: by Python's zipfile, which has zlib, with sizes in
// front and behind, and by Info-ZIP's zip, which has a deflate of its own.
constexpr const char* make_pairs = R"(
import io, pathlib, random, shutil, subprocess, sys, zipfile
out, chance = pathlib.Path(sys.argv[1]), random.Random(7)
words = ['<w:t>%x</w:t>' % chance.randrange(1 << 20) for n in range(700)]
def parts(edited):
    text = [words[(n * n) % 700] for n in range(30000)]
    if edited:
        text[12000:12000] = ['one', 'sentence', 'more']
    return {'mimetype': b'application/vnd.oasis.opendocument.text', 'content.xml': ' '.join(text).encode(),
            'Pictures/1.png': random.Random(3).randbytes(30000), 'styles.xml': ' '.join(words).encode() * 3,
            'meta.xml': b'<meta:editing-cycles>%d</meta:editing-cycles>' % (4 + edited)}
class Pipe(io.RawIOBase):
    def __init__(self): self.got = b''
    def writable(self): return True
    def write(self, some): self.got += bytes(some); return len(some)
def python(edited, level, pipe):
    to = Pipe() if pipe else io.BytesIO()
    with zipfile.ZipFile(to, 'w') as made:
        for name, content in parts(edited).items():
            info = zipfile.ZipInfo(name, (2026, 11, 1 + edited, 10, 2, 6))
            info.compress_type = zipfile.ZIP_STORED if name == 'mimetype' else zipfile.ZIP_DEFLATED
            made.writestr(info, content, compresslevel=level)
    return to.got if pipe else to.getvalue()
def info_zip(edited, level):
    root = out / 'zip'
    for name, content in parts(edited).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    subprocess.run(['zip', '-q', '-X', '-0', '../made.zip', 'mimetype'], cwd=root, check=True)
    subprocess.run(['zip', '-q', '-X', '-r', f'-{level}', '../made.zip', '.', '-x', 'mimetype'], cwd=root, check=True)
    return (out / 'made.zip').rename(out / 'made').read_bytes()
for edited, end in enumerate(('before', 'after')):
    for level in (None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9):
        for pipe in (False, True):
            (out / f'zlib {level}{" pipe" * pipe}.{end}').write_bytes(python(edited, level, pipe))
    for level in (1, 6, 9) if shutil.which('zip') else ():
        (out / f'zip {level}.{end}').write_bytes(info_zip(edited, level))
)";

class MembersOfPrograms : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "/hasp_members_XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        std::string program = "/usr/bin/python3";
        std::string script = make_pairs;
        std::string options[] = {"-B", "-c"};
        char* const arguments[] = {program.data(), options[0].data(), options[1].data(),
                                   script.data(),  folder_.data(),    nullptr};
        pid_t child = 0;
        ASSERT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ), 0);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_EQ(status, 0) << "python3 could not make the archives";
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(folder_).ok()); }

    std::string folder_;
};

TEST_F(MembersOfPrograms, AreGivenAgainByteForByteOrNotTakenApart) {
    int pairs = 0;
    int apart = 0;
    for (const auto& one : std::filesystem::directory_iterator(folder_)) {
        if (one.path().extension() != ".before") {
            continue;
        }
        const std::string name = one.path().stem().string();
        const std::string before = read_file(folder_ + "/" + name + ".before", 4 << 20).value();
        const std::string after = read_file(folder_ + "/" + name + ".after", 4 << 20).value();
        ASSERT_NE(before, after);
        MemoryFile base(before);
        MemoryFile file(after);
        MembersWork makes;
        MembersWork takes;
        auto difference = members_difference(base, file, makes);
        ASSERT_TRUE(difference.ok()) << name;
        ++pairs;
        if (!*difference) {
            // Level 0 has no member that is deflated with a level of ours.
            EXPECT_TRUE(name.starts_with("zip ") || name.starts_with("zlib 0")) << name;
            continue;
        }
        ++apart;
        MemoryFile told(**difference);
        std::string out;
        EXPECT_TRUE(apply_members(base, pull_from(told), after.size(), takes, into(out)).ok());
        EXPECT_TRUE(out == after) << name;
        EXPECT_LT((*difference)->size(), 600U) << name;
    }
    EXPECT_GE(pairs, 22);
    EXPECT_GE(apart, 20);
}

} // namespace
} // namespace hasp::sync
