// fold: text without regard to case, as Unicode folds it (CaseFolding.txt) and the API searches.

/** Lower case alone keeps ß from SS and ς from σ. The dotless ı, whose upper case is I, stays what it is. */
export const fold = (text) => text.replace(/[^ı]+/g, (part) => part.toLowerCase().toUpperCase().toLowerCase())
  .replaceAll("ς", "σ");
