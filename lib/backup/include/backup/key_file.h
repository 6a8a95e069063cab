// A tier's keys, apart from its backups: sealed under a passphrase, in one file of text.
//
// Without contents.key nothing in a backup's contents can be read, and without the keys in keys/
// nobody is this tier: what lies in a repository is worth little to whoever steals it, and what
// lies here is worth nothing without the passphrase.
#pragma once

#include "base/random.h"
#include "base/result.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::backup {

inline constexpr std::size_t key_file_bytes_max = std::size_t{4} << 20;
inline constexpr std::size_t passphrase_bytes_min = 12;

// Paths beneath the state folder to what they hold: keys/… and contents.key.
using Keys = std::map<std::string, std::string>;

// Those of a state folder. not_found: it holds no tier.
Result<Keys> read_keys(const std::string& state);
// Says whether keys are those that a backup needs: of the two that never change and contents.key,
// not of certificates, which are renewed. Hex; nobody learns a key from it.
std::string fingerprint(const Keys& keys);
// One print for each private key that cannot be made anew: contents.key and those in keys/, also of
// the realm's authorities for browsers and of the ACME account. A saved copy is complete as long as
// it has all of these. Sorted; hex.
std::vector<std::string> key_prints(const Keys& keys);
// Also of an earlier time, when the tier had no contents yet.
bool fit(const Keys& keys, std::string_view print);

// Code::usage: the passphrase is too short. Argon2id, 64 MiB, about 0.2 s; blocking.
Result<std::string> seal_keys(const Keys& keys, std::string_view passphrase, Random& random);
// refused: not a file of keys, damaged, or another passphrase.
Result<Keys> open_keys(std::string_view text, std::string_view passphrase);

// Writes them into a state folder, 0600; keys/ appears whole or not at all, and last. Run by root,
// they and the folder belong to whoever keeper.db belongs to.
Status put_keys(const Keys& keys, const std::string& state);

} // namespace hasp::backup
