// What cmd/hasp does with the hidden subcommand, for the tests.
#include "run/dialer.h"

#include <cstring>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc > 2 && std::strcmp(argv[1], hasp::run::dialer_word) == 0) {
        ::_exit(hasp::run::dialer_command(argc - 2, argv + 2));
    }
    return 2;
}
