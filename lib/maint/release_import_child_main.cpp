#include "maint/release_store.h"

int main() {
    return hasp::maint::import_child_main();
}
