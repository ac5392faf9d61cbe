"""Common short English words: what prompts of text are made of when no tokenizer says what a token is.

Most tokenizers of English models hold each of these, with its leading space, as a single token, so a prompt of n words
is close to n tokens; the server's own count is what the report shows.
"""

from __future__ import annotations

__all__ = ["WORDS"]

_TEXT = """
able about above accept across act action active actor add address adult after again against age agency agent ago
agree air allow almost alone along already also always amount animal another answer anyone appear apply area argue arm
army around arrive art article artist ask attack author avoid away baby back bad bag ball bank bar base beat beautiful
because become bed before begin behavior behind believe benefit best better between beyond big bill bit black blood
blue board body book born both box boy break bring brother budget build building business but buy call camera campaign
can cancer candidate capital car card care career carry case catch cause cell center central century certain chair
challenge chance change character charge check child choice choose church citizen city civil claim class clear close
coach cold collection college color come commercial common community company compare computer concern condition
conference consider consumer contain continue control cost could country couple course court cover create crime
cultural culture cup current customer cut dark data daughter day dead deal death debate decade decide decision deep
defense degree democratic describe design despite detail determine develop die difference difficult dinner direction
director discover discuss discussion disease doctor dog door down draw dream drive drop drug during each early east
easy eat economic economy edge education effect effort eight either election else employee end energy enjoy enough
enter entire environment especially establish even evening event ever every evidence exactly example executive exist
expect experience expert explain eye face fact factor fail fall family far fast father fear federal feel feeling few
field fight figure fill film final finally financial find fine finger finish fire firm first fish five floor fly focus
follow food foot for force foreign forget form former forward four free friend from front full fund future game garden
gas general generation get girl give glass go goal good government great green ground group grow growth guess gun guy
hair half hand hang happen happy hard have head health hear heart heat heavy help here high history hit hold home hope
hospital hot hotel hour house how however huge human hundred husband idea identify image imagine impact important
improve include increase indeed indicate individual industry information inside instead institution interest interview
investment involve issue item job join just keep key kid kill kind kitchen know knowledge land language large last
late later laugh law lawyer lay lead leader learn least leave left leg legal less letter level life light like likely
line list listen little live local long look lose loss lot love low machine magazine main maintain major make man
manage management manager many market marriage material matter maybe mean measure media medical meet meeting member
memory mention message method middle might military million mind minute miss mission model modern moment money month
more morning most mother mouth move movement movie much music must name nation national natural nature near nearly
necessary need network never new news newspaper next nice night none north note nothing notice number occur offer
office officer official often oil old once one only open operation opportunity option order organization other outside
over own owner page pain painting paper parent part particular partner party pass past patient pattern pay peace
people perform performance perhaps period person personal phone physical pick picture piece place plan plant play
player point police policy political poor popular population position positive possible power practice prepare present
president pressure pretty prevent price private problem process produce product production professional professor
program project property protect prove provide public pull purpose push put quality question quickly quite race radio
raise range rate rather reach read ready real reality realize really reason receive recent record red reduce reflect
region relate relationship remain remember remove report represent require research resource respond response rest
result return reveal rich right rise risk road rock role room rule run safe same save scene school science scientist
score sea season seat second section security see seek seem sell send senior sense series serious serve service set
seven several shake share shoot short shot should shoulder show side sign significant similar simple since sing single
sister sit site situation six size skill skin small smile social society soldier some son song soon sort sound source
south space speak special specific speech spend sport spring staff stage stand standard star start state statement
station stay step still stock stop store story strategy street strong structure student study stuff style subject
success such suddenly suffer suggest summer support sure surface system table take talk task tax teach teacher team
technology television tell ten tend term test than thank that them theory there these they thing think third this
those though thought thousand threat three through throw thus time today together tonight too top total tough toward
town trade traditional training travel treat treatment tree trial trip trouble true truth try turn two type under
understand unit until upon use usually value various very victim view violence visit voice vote wait walk wall want
war watch water way weapon wear week weight well west what when where which while white who whole why wide wife will
win wind window wish with within without woman wonder word work worker world worry would write writer wrong yard year
yes yet you young your
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
