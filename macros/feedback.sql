{#- What customers write: masked before anybody reads it, and as words to look for. Patterns are
    without backslashes, looks around and classes of one engine (see replace_pattern). -#}

{#- A text without the personal data that have a form: e-mail addresses, phone, card and account
    numbers, postal addresses, long numbers. What is told apart (dates, money, numbers of orders)
    is split by a character that no text has, the guard, and stays; in doubt it is masked. Kinds
    are accounts, dates, phones, amounts, streets and places, in this order, each on the text of
    the one before: no parser reads forty calls within each other. -#}
{% macro masked_text(text, kind) -%}
    {%- set guard = "\ue000" -%}
    {%- set words = {
        "<guard>": guard,
        "<digit>": "[0-9٠-٩۰-۹０-９]",
        "<space>": "[ \u00a0\u2009\u202f]",
        "<gap>": "[ \u00a0\u2009\u202f\u2010-\u2015-]",
        "<bracket>": "[ \u00a0\u2009\u202f()./\u2010-\u2015-]",
        "<in_email>": "[^@,;:<>()\"| \u00a0\t\n\r]",
        "<ends_email>": "[^@,;:<>()\"| \u00a0\t\n\r.!?…]",
        "<start>": "(^|[^0-9A-Za-zÀ-ÿ])",
        "<date_start>": "(^|[^0-9A-Za-z./+-])",
        "<date_end>": "([.]?[^0-9A-SU-Za-z./-]|[.]?$)",
        "<capital>": "[A-ZÀ-Ý]",
        "<letter>": "[A-Za-zÀ-ÿ]",
        "<currency>": "([A-Z]{0,2}[$]|[€£¥]|EUR|USD|BRL|GBP|CHF)",
        "<amount_of>": "(€|[$]|£|EUR|USD|BRL|GBP|CHF|[Rr]eais|[Ee]uros?|[Dd]ollars?|[Pp]ounds)",
        "<order>":
            "(order|bestellung|auftrag|rechnung|invoice|ticket|pedido|fatura|encomenda|"
            ~ "factura|commande|facture)",
        "<of_time>":
            "(Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|"
            ~ "Montag|Dienstag|Mittwoch|Donnerstag|Freitag|Samstag|Sonntag|Tag|Jahr|Monat|"
            ~ "Anfang|Ende)",
        "<at>": "<space>?[^A-Za-z0-9 ][aAäÄ][tT][^A-Za-z0-9 ]<space>?",
        "<dot>": "([.]|<space>?[^A-Za-z0-9 ](dot|punkt|ponto|punto|point)[^A-Za-z0-9 ]<space>?)",
        "<house>": "[0-9]{1,4}[a-zA-Z]?",
    } -%}
    {%- set year = "((19|20)[0-9]{2})" -%}
    {%- set iso_date = "<date_start>([0-9]{4})([./-])([0-9]{2})([./-])([0-9]{2})<date_end>" -%}
    {%- set date =
        "<date_start>([0-3]?[0-9])([./-])([01]?[0-9])([./-])((19|20)[0-9]{2}|[0-9]{2})<date_end>"
    -%}
    {%- set masks = {
        "accounts": [
            ["<in_email>+@<in_email>*<ends_email>", "[email]"],
            ["[A-Za-z0-9._%+-]+<space>?@<space>?([A-Za-z0-9-]+[.])+[A-Za-z]{2,}", "[email]"],
            ["[A-Za-z0-9._%+-]+<at>[A-Za-z0-9-]+(<dot>[A-Za-z0-9-]+)+", "[email]"],
            [
                "(?i)<start>(cep|plz|zip|zip code|postcode|postleitzahl|code postal|"
                ~ "c[oó]digo postal)"
                ~ "[ :.-]{0,3}[0-9][0-9.-]{2,8}[0-9]",
                "$1[address]",
            ],
            [
                "[A-Za-z]{2}[0-9]{2}(<gap>?[A-Z0-9]{4}){2}<gap>?[A-Z0-9]{3,4}"
                ~ "(<gap>?[A-Z0-9]{4}){0,4}"
                ~ "(<gap>?[A-Z0-9]{1,3})?",
                "[iban]",
            ],
            ["<start>[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{4}[0-9]{4}[A-Za-z0-9]{3,22}", "$1[iban]"],
        ],
        "dates": [
            [iso_date, "$1<guard>$2<guard>$3<guard>$4<guard>$5<guard>$6<guard>$7"],
            [iso_date, "$1<guard>$2<guard>$3<guard>$4<guard>$5<guard>$6<guard>$7"],
            [date, "$1<guard>$2<guard>$3<guard>$4<guard>$5<guard>$6<guard>$8"],
            [date, "$1<guard>$2<guard>$3<guard>$4<guard>$5<guard>$6<guard>$8"],
            [
                "<date_start>" ~ year ~ "(<space>?[–/-]<space>?| )" ~ year ~ "<date_end>",
                "$1$2<guard>$4<guard>$5$7",
            ],
            ["(Am|Im|Zum|Zur) <of_time>", "$1<guard> $2"],
        ],
        "phones": [
            ["<digit>(<gap>{0,2}<digit>){19,}", "[number]"],
            ["[0-9]{2}[.][0-9]{3}[.][0-9]{3}/[0-9]{4}-[0-9]{2}", "[number]"],
            ["[0-9]{3}[.][0-9]{3}[.][0-9]{3}-[0-9]{2}", "[number]"],
            ["[+]<space>?[(]?<digit>(<bracket>{0,3}<digit>){6,14}", "[phone]"],
            ["(^|[^0-9A-Za-z.,])00(<bracket>{0,3}<digit>){7,14}", "$1[phone]"],
            ["<digit>([. \u00a0\u2010-\u2015-]?<digit>){12,18}", "[card]"],
            [
                "<start>([0-9]{5}-[0-9]{3}|[0-9]{4}-[0-9]{3})( <capital>[a-zß-ÿ]+){0,2}([^0-9-]|$)",
                "$1[address]$4",
            ],
            ["(^|[^0-9A-Za-z.,+-])[(]?[0٠۰０]<digit>(<bracket>{0,2}<digit>){5,12}", "$1[phone]"],
            ["[(]<digit>{2,5}[)]<gap>?<digit>(<gap>?<digit>){5,10}", "[phone]"],
            ["<digit>{3}[.]<digit>{3}[.]<digit>{4}", "[phone]"],
        ],
        "amounts": [
            [
                "(<currency><space>?)([0-9]{1,4})([0-9]{1,5})([^0-9]|$)",
                "$1<guard>$3<guard>$4<guard>$5",
            ],
            [
                "(^|[^0-9+])([0-9]{1,4})([0-9]{1,5})(<space>?<amount_of>)",
                "$1<guard>$2<guard>$3<guard>$4",
            ],
            [
                "(?i)(<order>[^0-9+@]{0,12})([0-9]{1,3})([0-9]{0,3})([^0-9-]|$)",
                "$1<guard>$3<guard>$4<guard>$5",
            ],
            [
                "<start>([A-Z]{2,5}-)([0-9]{1,6})(-[0-9]{1,6})([^0-9-]|$)",
                "$1$2<guard>$3<guard>$4<guard>$5",
            ],
        ],
        "streets": [
            [
                "(?i)<start><letter>[a-zß-ÿ.-]+(stra(ß|ss)e|str[.]|weg|platz|allee|gasse|ufer|"
                ~ "chaussee|"
                ~ "damm)<space>?<house>",
                "$1[address]",
            ],
            [
                "<start>(<capital><letter>*[.-]? ?){1,3}(Stra(ß|ss)e|Str[.]|Weg|Platz|Allee|"
                ~ "Gasse|Ring|"
                ~ "Ufer|Damm|stra(ß|ss)e|str[.]) ?<house>",
                "$1[address]",
            ],
            ["<start><capital>[a-zß-ÿ]{2,}[b-df-hj-np-tv-z]ring <house>", "$1[address]"],
            [
                "<start>(Am|An de[rn]|Im|In de[rnm]|Auf de[rm]|Unter den|Zum|Zur|Beim|"
                ~ "Hinter de[rm]|"
                ~ "Vor de[rm]) <capital>[a-zß-ÿ-]+ [0-9]{1,3}[a-z]?([^0-9a-z]|$)",
                "$1[address]$3",
            ],
            [
                "<start>[0-9]{1,5}[A-Za-z]?,? (<capital>[A-Za-z''.]* |[0-9]+(st|nd|rd|"
                ~ "th) ){1,4}(Street|"
                ~ "St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|"
                ~ "Close|Way|"
                ~ "Place|Pl|Terrace|Crescent)([^A-Za-z]|$)",
                "$1[address]$5",
            ],
            [
                "(?i)<start>[0-9]{1,5}[a-z]?,? ([a-z''.]+ ){1,2}(street|road|avenue|lane|boulevard)"
                ~ "([^a-z]|$)",
                "$1[address]$4",
            ],
            [
                "(?i)<start>((rua|avenida|alameda|rodovia|calle|avda|av)[ .:]+|c/ ?)"
                ~ "([^ ,;.!?0-9\n]+[.]?[ ,]+){1,6}((n[º°o.]+|n[uú]mero|"
                ~ "#) ?)?[0-9]{1,5}(-[0-9]{1,4})?",
                "$1[address]",
            ],
            [
                "<start>([RrAa][.]|Rua|Avenida|"
                ~ "Calle) ?[0-9]{1,2} (d[eo]) <letter>+,? (n[º°o.]+ ?)?[0-9]{1,5}",
                "$1[address]",
            ],
            [
                "<start>(R[.]|Travessa|TRAVESSA|Largo|LARGO|Estrada|ESTRADA|Pra[çc]a|PRA[ÇC]A|"
                ~ "Plaza|"
                ~ "Paseo|Camino|Carrera|Ronda) ?((d[aeo]s?|del|la|las|los|"
                ~ "<capital>[^ ,;.0-9]*)[ ,.]+){1,6}((n[º°o.]+|n[uú]mero) ?)?"
                ~ "[0-9]{1,5}",
                "$1[address]",
            ],
            [
                "<start>[0-9]{1,4}( ?(bis|ter))?,? ?([Rr]ue|[Aa]venue|[Bb]oulevard|[Bb]d|[Pp]lace|"
                ~ "[Cc]hemin|[Ii]mpasse|[Aa]ll[ée]e|[Qq]uai) ((de|du|des|la|le|les|aux?|d''|"
                ~ "l'') ?)*"
                ~ "<letter>[^ ,;.\n]*( <capital>[^ ,;.\n]*){0,3}",
                "$1[address]",
            ],
        ],
        "places": [
            [
                "(^|[^0-9A-Za-z.,<guard>-])([A-Z]{1,2}-)?[0-9]{5} <capital>[a-zß-ÿ]+(-<letter>+)*"
                ~ "( (am|an der|im|ob der|bei|de|del|de la|do|da|sur|en) <capital>[a-zß-ÿ]+)?",
                "$1[address]",
            ],
            ["<start>(A|CH|AT|B|L|P|DK|S|N)-[0-9]{4} <capital>[a-zß-ÿ]+", "$1[address]"],
            ["<capital>[a-z]+,? [A-Z]{2} [0-9]{5}(-[0-9]{4})?", "[address]"],
            [
                "<start>[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}([^A-Za-z0-9]|$)",
                "$1[address]$2",
            ],
            ["(<digit>{1,4}<gap>)?<digit>{7,}(<gap><digit>{1,4})?", "[number]"],
            ["<digit>(<gap>{0,2}<digit>){6,11}", "[phone]"],
        ],
    } -%}
    {%- set masked = namespace(sql=text) -%}
    {%- if kind == "accounts" -%}
        {%- set masked.sql = "translate(" ~ text ~ ", '" ~ guard ~ "', '')" -%}
    {%- endif -%}
    {%- for pattern, replacement in masks[kind] -%}
        {%- set written = namespace(pattern=pattern, replacement=replacement) -%}
        {%- for _ in range(2) -%}
            {%- for word, meaning in words.items() -%}
                {%- set written.pattern = written.pattern | replace(word, meaning) -%}
                {%- set written.replacement = written.replacement | replace(word, meaning) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- set masked.sql = replace_pattern(
            masked.sql, "'" ~ written.pattern ~ "'", written.replacement
        ) -%}
    {%- endfor -%}
    {%- if kind == "places" -%}
        replace({{ masked.sql }}, '{{ guard }}', '')
    {%- else -%}
        {{ masked.sql }}
    {%- endif -%}
{%- endmacro %}

{#- A text as words between single spaces, in small letters without marks. The letters are
    listed, since what lower() does depends on the server. Apostrophes part words. -#}
{% macro normal_text(text) -%}
    {%- set letters = {
        "a": "AªÀÁÂÃÄÅàáâãäåĀāĂăĄąǍǎǞǟǠǡǺǻȀȁȂȃȦȧḀḁẠạẢảẤấẦầẨẩẪẫẬậẮắẰằẲẳẴẵẶặ",
        "b": "BƁḂḃḄḅḆḇ",
        "c": "CÇçĆćĈĉĊċČčḈḉ",
        "d": "DÐðĎďĐđƊḊḋḌḍḎḏḐḑḒḓ",
        "e": "EÈÉÊËèéêëĒēĔĕĖėĘęĚěƏƐȄȅȆȇȨȩḔḕḖḗḘḙḚḛḜḝẸẹẺẻẼẽẾếỀềỂểỄễỆệ",
        "f": "FƒḞḟ",
        "g": "GĜĝĞğĠġĢģǦǧǴǵḠḡ",
        "h": "HĤĥĦħȞȟḢḣḤḥḦḧḨḩḪḫẖ",
        "i": "IÌÍÎÏìíîïĨĩĪīĬĭĮįİıƗǏǐȈȉȊȋḬḭḮḯỈỉỊị",
        "j": "JĴĵǰ",
        "k": "KĶķĸƘƙǨǩḰḱḲḳḴḵ",
        "l": "LĹĺĻļĽľŁłḶḷḸḹḺḻḼḽ",
        "m": "MḾḿṀṁṂṃ",
        "n": "NÑñŃńŅņŇňŊŋǸǹṄṅṆṇṈṉṊṋ",
        "o": "OºÒÓÔÕÖØòóôõöøŌōŎŏŐőƆƠơǑǒǪǫǬǭȌȍȎȏȪȫȬȭȮȯȰȱṌṍṎṏṐṑṒṓỌọỎỏỐốỒồỔổỖỗỘộỚớỜờỞởỠỡỢợ",
        "p": "PṔṕṖṗ",
        "q": "Q",
        "r": "RŔŕŖŗŘřȐȑȒȓṘṙṚṛṜṝṞṟ",
        "s": "SŚśŜŝŞşŠšſȘșṠṡṢṣṤṥṦṧṨṩ",
        "t": "TŢţŤťŦŧȚțṪṫṬṭṮṯṰṱẗ",
        "u": "UÙÚÛÜùúûüŨũŪūŬŭŮůŰűŲųƯưǓǔǕǖǗǘǙǚǛǜȔȕȖȗɄṲṳṴṵṶṷṸṹṺṻỤụỦủỨứỪừỬửỮữỰự",
        "v": "VṼṽṾṿ",
        "w": "WŴŵẀẁẂẃẄẅẆẇẈẉẘ",
        "x": "XẊẋẌẍ",
        "y": "YÝýÿŶŷŸƳƴȲȳẎẏẙỲỳỴỵỶỷỸỹ",
        "z": "ZŹźŻżŽžẐẑẒẓẔẕ",
        "α": "ΑΆά", "ε": "ΕΈέ", "η": "ΗΉή", "ι": "ΙΊΪίϊΐ", "ο": "ΟΌό", "υ": "ΥΎΫύϋΰ",
        "ω": "ΩΏώ", "σ": "Σς", "и": "ИЙйЍѝ", "е": "ЕЁёЀѐ", "у": "УЎў", "г": "ГЃѓ", "к": "КЌќ",
        "і": "ІЇї",
    } -%}
    {%- set capitals = "ẞÆǼǽŒÞĲΒΓΔΖΘΚΛΜΝΞΠΡΤΦΧΨАБВДЖЗЛМНОПРСТФХЦЧШЩЪЫЬЭЮЯЂЄЅЈЉЊЋЏҐӘҒҚҢӨҰҮҺ" -%}
    {%- set small = "ßæææœþĳβγδζθκλμνξπρτφχψабвджзлмнопрстфхцчшщъыьэюяђєѕјљњћџґәғқңөұүһ" -%}
    {#- Letters of two letters. -#}
    {%- set pairs = {
        "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ĳ": "ij", "ﬁ": "fi", "ﬂ": "fl",
    } -%}
    {#- What a translation gives no letter for is left out: marks that stand alone, the soft
        hyphen, vowel points, joiners and marks of direction. -#}
    {%- set unseen = namespace(marks="\u00ad\u0640\u200c\u200d\u200e\u200f\u2060\ufeff") -%}
    {%- set ranges = [
        [0x0300, 0x036f], [0x0591, 0x05bd], [0x05c1, 0x05c2], [0x064b, 0x0652],
        [0x202a, 0x202e], [0x2066, 0x2069],
    ] -%}
    {%- for first, last in ranges -%}
        {%- for code in range(first, last + 1) -%}
            {%- set unseen.marks = unseen.marks ~ ("%c" | format(code)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set from = namespace(letters="", to="") -%}
    {%- for letter, forms in letters.items() -%}
        {%- set from.letters = from.letters ~ forms -%}
        {%- set from.to = from.to ~ letter * (forms | length) -%}
    {%- endfor -%}
    {#- ASCII, Latin-1, Armenian, Hebrew, Arabic, Indic, general and East Asian punctuation,
        signs, private use, presentation forms, emoji and tags. -#}
    {%- set signs =
        "\u0001-/:-@^-`{-\u00bf×÷\u02b0-\u02ff\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3"
        ~ "\u05f3\u05f4\u060c\u061b-\u061f\u066a-\u066d\u06d4\u0964\u0965\u1680\u2000-\u2bff"
        ~ "\u2e00-\u2e7f\u3000-\u3004\u3008-\u3030\u30fb\ue000\ue003-\uf8ff\ufe00-\ufe6f"
        ~ "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ufff0-\uffff"
        ~ "\U0001f000-\U0001faff\U000e0000-\U000e01ef"
    -%}
    {%- set spelled = namespace(
        sql="translate(" ~ text ~ ", '" ~ from.letters ~ capitals ~ "[]' || chr(92) || '"
        ~ unseen.marks ~ "', '" ~ from.to ~ small ~ "   ')"
    ) -%}
    {%- for letter, two in pairs.items() -%}
        {%- set spelled.sql = "replace(" ~ spelled.sql ~ ", '" ~ letter ~ "', '" ~ two ~ "')" -%}
    {%- endfor -%}
    {{ replace_pattern("(' ' || " ~ spelled.sql ~ " || ' ')", "'[" ~ signs ~ "]+'", " ") }}
{%- endmacro %}

{#- The words of a pattern of the map, with two characters that no text has for its wildcards:
    `*` and `...` would be lost as signs. -#}
{% macro pattern_words(pattern) -%}
    {{ normal_text(
        "replace(replace(replace(" ~ pattern
        ~ ", '...', ' \ue001 '), '…', ' \ue001 '), '*', '\ue002')"
    ) }}
{%- endmacro %}

{#- As a regular expression: words lie between single spaces. -#}
{% macro words_regex(words) -%}
    {%- set ending, others = "\ue002", "\ue001" -%}
    replace(
        replace(
            replace({{ words }}, ' {{ ending }} ', ' [^ ]+ '),
            '{{ ending }}', '[^ ]*'
        ),
        ' {{ others }} ', ' ([^ ]+ ){0,3}'
    )
{%- endmacro %}

{#- Words without the wildcards: of `a* ... b` ` a b `. -#}
{% macro plain_words(words) -%}
    {{ replace_pattern(words, "'[ \ue001\ue002]+'", " ") }}
{%- endmacro %}

{#- A normal text with `~` for each of the three words that follow a negation. The negations are
    a regular expression of words; doubled spaces give each word its own, so that neighbours
    are found too. Each step marks the word after a marked one. -#}
{% macro affirmed_text(text, negations) -%}
    {%- set negated = "replace(" ~ replace_pattern(
        "replace(" ~ text ~ ", ' ', '  ')",
        "' (' || replace(" ~ negations ~ ", ' ', '  ') || ') '",
        " $1# "
    ) ~ ", '  ', ' ')" -%}
    {%- set first = "replace(" ~ negated ~ ", '# ', ' ~')" -%}
    {%- set second = replace_pattern(first, "'(~[^ ]*) '", "$1 @") -%}
    {%- set third = replace_pattern(second, "'(@[^ ]*) '", "$1 %") -%}
    {{ replace_pattern(third, "'[~@%][^ ]*'", "~") }}
{%- endmacro %}

{#- Words that say nothing by themselves, as normal_text writes them. -#}
{% macro stop_words() -%}
    {{ return((
        "a about after all also am an and any are as at be because been but by can could did do "
        ~ "does for from get got had has have he her his how i if in into is it its just like me "
        ~ "more my no not now of on one only or our out so some than that the their them then "
        ~ "there they this to too up us very was we were what when which who will with would you "
        ~ "your s t ll ve re m d don "
        ~ "aber als am an auch auf aus bei bin bis da das dass dem den der des die dies diese du "
        ~ "ein eine einem einen einer er es fur habe haben hat hatte ich ihr im in ist ja kein "
        ~ "keine man mein meine mich mir mit nach nicht noch nur oder sehr sich sie sind so uber "
        ~ "um und uns vom von vor war was wenn wie wir wird zu zum zur "
        ~ "au aux avec c ce ces cette dans de des du elle en est et eux il ils j je l la le les "
        ~ "leur lui ma mais me meme mes mon n ne nos notre nous on ont ou par pas pour qu que qui "
        ~ "sa se ses son sur ta te tes toi ton tu un une vos votre vous y "
        ~ "al como con cuando del desde donde el ella ellos esta este esto fue ha han hay hasta las"
        ~ " "
        ~ "lo los mas mi mis muy nada ni nos os otro para pero poco por porque se ser si sin sobre "
        ~ "su sus tan te tiene todo tu una uno unos ya yo "
        ~ "ao aos as ate com da das dela dele depois do dos e ela ele eles em entre era essa esse "
        ~ "estava estou eu foi isso isto ja lhe mas me mesmo meu meus minha muito na nao nas nem "
        ~ "no nos num numa o os ou pela pelo por pra quando que quem sao se sem seu seus so sua "
        ~ "suas tambem te tem tenho ter teu um uma vai vc voce"
    ).split() | unique | sort) }}
{%- endmacro %}

{#- Also numbers and single letters; false where there is no word. -#}
{% macro is_stop_word(word) -%}
    coalesce(
        length({{ word }}) = 1
        or {{ finds_pattern(word, "'^[0-9]+$'") }}
        or {{ word }} in ({{ "'" ~ stop_words() | join("', '") ~ "'" }}),
        false
    )
{%- endmacro %}

{#- What feedback may be about, as the map allows it. -#}
{% macro feedback_types() -%}
    {{ return([
        "functionality", "feature_request", "usability", "reliability", "customer_service",
        "pricing_billing", "other",
    ]) }}
{%- endmacro %}
