"""What the customers write in surveys: sentences by topic, in two languages.

Names, addresses and numbers are invented: example.com, and numbers reserved for fiction.
"""

from collections.abc import Mapping

# (satisfied, language) -> sentences. Those after a second call are apart: they are the story.
SENTENCES: Mapping[tuple[bool, str], tuple[str, ...]] = {
    (True, "en"): (
        "Friendly and quick, thanks.",
        "Easy to use.",
        "Setup was easy, the first report took ten minutes.",
        "Works well, I only wish there were dark mode.",
        "Good help, but I wish for more templates.",
        "The export to Excel is great.",
        "Fair price.",
        "Solved at once.",
        "Fine so far.",
    ),
    (True, "de"): (
        "Sehr freundlich, danke.",
        "Einfach zu bedienen.",
        "Guter Preis.",
        "Ich wünsche mir mehr Vorlagen.",
        "Der Export klappt prima.",
        "Alles schnell gelöst.",
    ),
    (False, "en"): (
        "Too expensive for what it does.",
        "The invoice was wrong again.",
        "Reports are slow since the update.",
        "The app crashes when I connect a second source.",
        "The menu is confusing, I never find the settings.",
        "I had to wait two days for an answer.",
        "I wish I could change the plan myself.",
        "The export loses columns.",
        "Did not help.",
    ),
    (False, "de"): (
        "Viel zu teuer.",
        "Die Rechnung stimmt nicht.",
        "Berichte laden sehr langsam.",
        "Nach dem Absturz waren Daten weg.",
        "Die Menüs sind unübersichtlich.",
        "Ich habe zwei Tage gewartet.",
    ),
}
AFTER_REPEAT: Mapping[str, tuple[str, ...]] = {
    "en": (
        "I had to call twice for the same thing.",
        "Had to call twice, then it worked.",
        "Nobody knew of my first call, so I had to call twice.",
    ),
    "de": (
        "Ich musste zweimal anrufen.",
        "Musste wegen derselben Sache zweimal anrufen.",
    ),
}
# To be masked before anybody reads them.
PERSONAL = (
    " Please write to buyer7@example.com.",
    " My number is +1 202 555 0143.",
    " Rückruf bitte unter 030 23125 014.",
    " Ask for ops-team@example.org.",
)
