// Figures that scroll, as on phones, can be reached and scrolled by keyboard. The theme does the same for tables and code.
const reachable = () => {
  for (const figure of document.querySelectorAll(".bd-main figure")) {
    if (figure.scrollWidth > figure.clientWidth) figure.tabIndex = 0;
    else figure.removeAttribute("tabindex");
  }
};
addEventListener("load", reachable);
addEventListener("resize", reachable);
