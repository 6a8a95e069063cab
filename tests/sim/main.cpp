// As hasp itself, the program reads packs in a child of its own.
#include "maint/release_store.h"

#include <cstring>
#include <gtest/gtest.h>

int main(int argc, char** argv) {
    if (argc > 1 && std::strcmp(argv[1], "import-pack") == 0) {
        return hasp::maint::import_child_main();
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
