// Texty stránky v češtině; viz texts-en.js.
export default {
  "title": "Průběh vyhodnocení",
  "job": "Vyhodnocení",

  "connecting": "Připojuje se",
  "live": "Živě",
  "reconnecting": "Spojení se ztratilo, obnovuje se",
  "offline": "Jste offline",
  "no-contact": "S vyhodnocením není spojení",
  "ended": "Skončilo",
  "without-websocket": "Živě bez WebSocketu",
  "polling": "Živě opakovanými dotazy",
  "news": "Poslední zpráva před {time}",
  "news-now": "Poslední zpráva právě teď",

  "waiting": "Čeká se na začátek vyhodnocení",
  "waiting-hint": "Zatím o něm nepřišla žádná zpráva. Pokud už před nějakou dobou skončilo, tato stránka o něm neví; jeho výsledky jsou v systému {app}.",
  "downloaded": "Řešení se připravuje",
  "running": "Řešení se vyhodnocuje",
  "evaluated": "Vyhodnocení skončilo, výsledky se ukládají",
  "uploaded": "Výsledky jsou uloženy",
  "interrupted": "Přerušeno, vyhodnocení začíná znovu",
  "no-contact-hint": "Monitor ztratil spojení s vyhodnocením. Vaše řešení je v bezpečí; jakmile přijdou zprávy, stránka bude sama pokračovat.",
  "offline-hint": "Vaše zařízení není připojeno k síti. Vyhodnocení běží dál i bez vás a stránka pak sama doplní, co zmeškala.",

  "over": "Vyhodnocení skončilo",
  "over-completed": {
    "one": "Vyhodnocení skončilo: jeho test byl dokončen",
    "few": "Vyhodnocení skončilo: dokončeny všechny {n} testy",
    "other": "Vyhodnocení skončilo: dokončeno všech {n} testů"
  },
  "over-failed": {
    "by": "failed",
    "one": "Vyhodnocení skončilo: {failed} test z celkového počtu {n} neprošel",
    "few": "Vyhodnocení skončilo: {failed} testy z celkového počtu {n} neprošly",
    "other": "Vyhodnocení skončilo: {failed} testů z celkového počtu {n} neprošlo"
  },
  "over-skipped": {
    "by": "skipped",
    "one": "Vyhodnocení skončilo: {skipped} test z celkového počtu {n} byl přeskočen",
    "few": "Vyhodnocení skončilo: {skipped} testy z celkového počtu {n} byly přeskočeny",
    "other": "Vyhodnocení skončilo: {skipped} testů z celkového počtu {n} bylo přeskočeno"
  },
  "over-tasks-completed": {
    "one": "Vyhodnocení skončilo: jeho krok byl dokončen",
    "few": "Vyhodnocení skončilo: dokončeny všechny {n} kroky",
    "other": "Vyhodnocení skončilo: dokončeno všech {n} kroků"
  },
  "over-tasks-failed": {
    "by": "failed",
    "one": "Vyhodnocení skončilo: {failed} krok z celkového počtu {n} selhal",
    "few": "Vyhodnocení skončilo: {failed} kroky z celkového počtu {n} selhaly",
    "other": "Vyhodnocení skončilo: {failed} kroků z celkového počtu {n} selhalo"
  },
  "over-tasks-skipped": {
    "by": "skipped",
    "one": "Vyhodnocení skončilo: {skipped} krok z celkového počtu {n} byl přeskočen",
    "few": "Vyhodnocení skončilo: {skipped} kroky z celkového počtu {n} byly přeskočeny",
    "other": "Vyhodnocení skončilo: {skipped} kroků z celkového počtu {n} bylo přeskočeno"
  },
  "over-hint": "Body a podrobnosti o každém testu ukáže {app}.",
  "forgotten": "Toto vyhodnocení skončilo",
  "forgotten-hint": "Jeho výsledky jsou v systému {app}.",
  "forgotten-failed": "Toto vyhodnocení selhalo",
  "forgotten-failed-hint": "Už skončilo a tato stránka neví, co se stalo. Víc možná ukáže {app}.",
  "failed": "Vyhodnocení selhalo",
  "failed-hint": "Bylo přerušeno dřív, než skončilo, a nejspíš ne vinou vašeho řešení. Odevzdejte ho znovu; pokud selže i pak, řekněte to svému učiteli.",
  "failed-attempts": {
    "one": "Vyhodnocení po {n} pokusu selhalo",
    "few": "Vyhodnocení po {n} pokusech selhalo",
    "other": "Vyhodnocení po {n} pokusech selhalo"
  },
  "failed-attempts-hint": "Pokaždé bylo přerušeno, což se stává, když řešení vyhodnocení shodí. Ověřte, že vaše nepotřebuje příliš mnoho paměti nebo času, a odevzdejte ho znovu, nebo to řekněte svému učiteli.",
  "build": "Vyhodnocení se nepodařilo připravit",
  "build-hint": "Vaše řešení dorazilo, ale pokyny k jeho testování nelze použít, takže se nic nespustilo. Nejspíš je to chyba zadání, ne vašeho programu. Řekněte to svému učiteli.",
  "rejected": "Řešení teď nemá kdo vyhodnotit",
  "rejected-hint": "Není k dispozici žádný stroj pro tento druh úlohy, takže se nic nespustilo. Vaše řešení je uloženo. Odevzdejte ho později znovu; pokud to nepomůže, řekněte to svému učiteli.",
  "expired": "Dlouho nepřišla žádná zpráva",
  "expired-hint": "Na vyhodnocení se tu přestalo čekat a není známo, jestli skončilo. Podívejte se po výsledcích, ukáže je {app}; pokud chybějí, odevzdejte řešení znovu.",
  "refused": "Toto vyhodnocení nelze sledovat",
  "refused-hint": "Adresa této stránky je neúplná, chybná nebo už neplatí. Otevřete ji znovu tam, kde jste ji našli: {app}.",

  "results": "Otevřít výsledky: {app}",
  "notify": "Upozornit mě na konec",
  "notify-denied": "Tento prohlížeč nedovoluje této stránce posílat upozornění.",

  "step-downloaded": "Přijato",
  "step-started": "Spuštěno",
  "step-ended": "Vyhodnoceno",
  "step-uploaded": "Uloženo",
  "step-finished": "Hotovo",
  "steps": "Fáze vyhodnocení",
  "bar": "Průběh vyhodnocení",
  "nothing": "Zatím není hotový žádný krok.",
  "nothing-at-all": "Žádný krok neproběhl.",
  "done": {
    "one": "Hotový {n} krok. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}.",
    "few": "Hotové {n} kroky. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}.",
    "other": "Hotových {n} kroků. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}."
  },
  "done-of": "Hotovo {n} z {tasks} kroků. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}.",
  "attempt": "Pokus {n}.",
  "latest": "Naposledy: {task}",
  "earlier": "Dříve",
  "attempt-failed": "Pokus {attempt}, selhal. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}",
  "attempt-interrupted": "Pokus {attempt}, přerušen. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}",
  "before-restart": "Než byl monitor restartován. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}",

  "tests": "Testy",
  "tasks": "Kroky",
  "filter": "Co ukázat",
  "all": "Vše",
  "completed": "Dokončeno",
  "failed-ones": "Selhalo",
  "skipped": "Přeskočeno",
  "task-completed": "dokončeno",
  "task-failed": "selhalo",
  "task-skipped": "přeskočeno",
  "task-other": "hotovo",

  "board": "Přehled vyhodnocení",
  "board-add": "Identifikátory vyhodnocení, každý na řádek",
  "board-follow": "Sledovat",
  "board-empty": "Vložte identifikátory vyhodnocení, nebo je doplňte do adresy této stránky za #.",
  "board-sum": {
    "one": "{n} vyhodnocení: selhalo {bad}, neúplně {neutral}, dokončeno {good}, probíhá {open}, čeká {waiting}",
    "few": "{n} vyhodnocení: selhala {bad}, neúplně {neutral}, dokončena {good}, probíhají {open}, čekají {waiting}",
    "other": "{n} vyhodnocení: selhalo {bad}, neúplně {neutral}, dokončeno {good}, probíhá {open}, čeká {waiting}"
  },
  "board-job": "Vyhodnocení",
  "board-state": "Stav",
  "board-bar": "Průběh",
  "board-remove": "Odebrat {job}",
  "board-clear": "Odebrat všechna, která skončila",

  "static": "K tomuto okamžiku dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}.",
  "static-of": "K tomuto okamžiku hotovo {n} z {tasks} kroků. Dokončeno: {completed}, selhalo: {failed}, přeskočeno: {skipped}.",
  "no-script": "S JavaScriptem by tato stránka sledovala vyhodnocení sama. Bez něj ji pro nové zprávy načtěte znovu.",
  "reload": "Načíst znovu"
};
