// case_fold: folds the case of text as the API's search does, by Unicode's CaseFolding.txt.

/** Lower case alone would not match ß with SS, or ς with σ. The dotless ı, whose upper case is I, is kept. */
export const foldCase = (text) => text.replace(/[^ı]+/g, (part) => part.toLowerCase().toUpperCase().toLowerCase())
  .replaceAll("ς", "σ");
