#!/bin/sh
# Starts Fossil on its repository; makes the repository the first time. A half-made one is never served: it gets its
# name only when it is complete.
set -eu
export HOME=/data USER=admin
repository=/data/tickets.fossil
if [ ! -e "$repository" ]; then
  new=/data/new.fossil
  rm -f "$new"
  fossil init --admin-user admin --project-name "Sakura Clinics: tickets and house rules" "$new" >/dev/null
  # Whoever the tiers let through is "nobody" to Fossil: may read and write pages and tickets, and change no setting.
  fossil user capabilities nobody cjknorw -R "$new" --user admin >/dev/null
  fossil wiki create "Opening hours" /app/pages/opening-hours.md -M markdown -R "$new" >/dev/null
  fossil wiki create "When the line is down" /app/pages/line-down.md -M markdown -R "$new" >/dev/null
  fossil wiki create "Sakura Clinics: tickets and house rules" /app/pages/home.md -M markdown -R "$new" >/dev/null
  fossil ticket add -q -R "$new" --user admin \
    title "Osaka: the printer at the reception prints grey" status Open type Code_Defect severity Minor >/dev/null
  fossil ticket add -q -R "$new" --user admin \
    title "Tokyo: second chair in room 3 is ordered" status Open type Feature_Request severity Minor >/dev/null
  mv "$new" "$repository"
fi
exec fossil server --localhost --port 8080 "$repository"
